/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tracepoints that nobody looks at */
#ifndef TESTS_KERNEL_TRACEPOINT_H
#define TESTS_KERNEL_TRACEPOINT_H

#define TP_PROTO(...)		__VA_ARGS__
#define TRACE_EVENT(name, proto, ...)	static inline void trace_##name(proto) {}
#define DEFINE_EVENT(class, name, proto, ...)	static inline void trace_##name(proto) {}
#define DECLARE_EVENT_CLASS(name, ...)

#endif /* TESTS_KERNEL_TRACEPOINT_H */
