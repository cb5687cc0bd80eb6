// SPDX-License-Identifier: GPL-2.0-or-later
/* Random numbers, messages, the TCP connection between the two processes, and the watchdog. */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vc.h"

#define GOLDEN	0x9e3779b97f4a7c15ULL

uint64_t vc_rand(struct vc_rng *r)
{
	uint64_t z = (r->s += GOLDEN);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint32_t vc_below(struct vc_rng *r, uint32_t n)
{
	return n ? (vc_rand(r) >> 16) % n : 0;
}

/* A byte depends on seed and position only, so a part of an area can be made alone. */
void vc_fill(uint8_t *p, size_t len, uint64_t seed)
{
	vc_fill_at(p, len, seed, 0);
}

/* The same from the eight bytes number @word on. */
void vc_fill_at(uint8_t *p, size_t len, uint64_t seed, uint64_t word)
{
	struct vc_rng r = { seed + word * GOLDEN };
	size_t i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t v = vc_rand(&r);

		memcpy(p + i, &v, 8);
	}
	if (i < len) {
		uint64_t v = vc_rand(&r);

		memcpy(p + i, &v, len - i);
	}
}

double vc_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

void vc_die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: error: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

void vc_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void vc_wrong(struct vc *vc, const char *fmt, ...)
{
	va_list ap;

	vc->wrong++;
	if (vc->wrong > 20)
		return;
	printf("WRONG (seed %llu round %u): ", (unsigned long long)vc->cfg.seed, vc->plan.round);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

void vc_send(struct vc *vc, const void *p, size_t len)
{
	while (len) {
		ssize_t n = send(vc->tcp, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			vc_die("the peer has gone (send: %s)", strerror(errno));
		p = (const char *)p + n;
		len -= n;
	}
}

void vc_recv(struct vc *vc, void *p, size_t len)
{
	while (len) {
		ssize_t n = recv(vc->tcp, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			vc_die("the peer has gone (recv: %s)", n ? strerror(errno) : "closed");
		p = (char *)p + n;
		len -= n;
	}
}

void vc_swap(struct vc *vc, const void *mine, void *theirs, size_t len)
{
	vc_send(vc, mine, len);
	vc_recv(vc, theirs, len);
}

static struct addrinfo *look_up(const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_family = host ? AF_UNSPEC : AF_INET6,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = host ? 0 : AI_PASSIVE,
	}, *res;
	int err = getaddrinfo(host, port, &hints, &res);

	if (err)
		vc_die("%s port %s: %s", host ? host : "*", port, gai_strerror(err));
	return res;
}

int vc_listen(const char *port, int wait)
{
	struct addrinfo *ai = look_up(NULL, port);
	int one = 1, off = 0, s, c;
	struct pollfd pfd;

	s = socket(ai->ai_family, ai->ai_socktype, 0);
	if (s < 0)
		vc_die("socket: %s", strerror(errno));
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(s, IPPROTO_IPV6, 26 /* IPV6_V6ONLY */, &off, sizeof(off));
	if (bind(s, ai->ai_addr, ai->ai_addrlen) || listen(s, 1))
		vc_die("port %s: %s", port, strerror(errno));
	freeaddrinfo(ai);
	vc_note("listening on port %s", port);
	pfd = (struct pollfd){ .fd = s, .events = POLLIN };
	if (poll(&pfd, 1, wait * 1000) != 1)
		vc_die("no client within %d s", wait);
	c = accept(s, NULL, NULL);
	if (c < 0)
		vc_die("accept: %s", strerror(errno));
	close(s);
	return c;
}

int vc_connect(const char *host, const char *port, int wait)
{
	double end = vc_now() + wait;
	int err = 0;

	do {
		struct addrinfo *res = look_up(host, port), *ai;

		for (ai = res; ai; ai = ai->ai_next) {
			int s = socket(ai->ai_family, ai->ai_socktype, 0);

			if (s < 0)
				continue;
			if (!connect(s, ai->ai_addr, ai->ai_addrlen)) {
				freeaddrinfo(res);
				return s;
			}
			err = errno;
			close(s);
		}
		freeaddrinfo(res);
		usleep(200000);
	} while (vc_now() < end);
	vc_die("no connection to %s port %s within %d s: %s", host, port, wait, strerror(err));
}

static const char *volatile doing = "starting";

static void stuck(int sig)
{
	static const char head[] = "\nSTUCK: no progress while ";
	ssize_t n;

	(void)sig;
	n = write(1, head, sizeof(head) - 1);
	n += write(1, doing, strlen(doing));
	n += write(1, "\n", 1);
	_exit(3);
}

void vc_alive(const char *what, unsigned int seconds)
{
	doing = what;
	signal(SIGALRM, stuck);
	alarm(seconds);
}
