// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCG plugin of scripts/bench: counts, for each vCPU, what the guest's kernel and its user space
 * execute, and answers questions about the counters on a unix socket, so that one boot serves all
 * measurements.
 *
 * Argument: socket=PATH.
 *
 * Counters of a vCPU, in this order:
 *   kernel   instructions at an address in the upper half
 *   user     all other instructions
 *   access   memory accesses of kernel instructions; one for each element of a string instruction
 *   string   bytes written by kernel string instructions (a rep-prefixed one counts as one
 *            instruction, whatever it copies)
 *
 * A block is counted when it is entered. Blocks end at every jump, so only an exception in the
 * middle of one counts instructions that did not run; that is far below one in a thousand.
 *
 * A mark is a multi-byte nop that no compiler emits (MARK below, tests/bench/mark.S). The guest
 * executes one at the beginning and one at the end of a measurement; the plugin keeps the counters
 * of that moment. Nobody has to talk to the guest meanwhile: the end is learned here.
 *
 * Protocol, one line each way, answers are JSON:
 *   read             {"vcpus":[[kernel,user,access,string],...]}
 *   wait N MS        waits until there are N marks, at most MS milliseconds: {"marks":number so far}
 *   mark I           the counters at mark I, from 1: as "read"
 *   block ADDRESS    how often each vCPU executed the kernel block that starts there: {"vcpus":[number,...]}
 *   profile PATH     writes "vcpu address instructions" lines of all kernel blocks to PATH: {"lines":number}
 * or {"error":"..."}.
 */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <qemu-plugin.h>

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* nopl 0x31534f4d(%rax) */
static const uint8_t MARK[] = { 0x0f, 0x1f, 0x80, 0x4d, 0x4f, 0x53, 0x31 };

enum {
    MAX_INSN = 15,
    MAX_MARKS = 1 << 16,
    MAX_BLOCKS = 1 << 18,   /* a booted Debian kernel runs about 100,000 different ones */
};

typedef struct {
    uint64_t kernel, user, access, string;
} Counters;

static struct qemu_plugin_scoreboard *score;
static qemu_plugin_u64 kernel_insns, user_insns, kernel_access, kernel_string;

/*
 * Protects marks and n_marks. marks holds one array of Counters, an element for each vCPU, for each
 * mark.
 */
static GMutex mark_lock;
static GCond mark_cond;
static GPtrArray *marks;

/*
 * Protects block_slot, block_addr, block_insns and n_blocks: translation runs on every vCPU's
 * thread. A slot of block_score counts the instructions of the kernel blocks that start at one
 * address; it is never reused, and slot 0 takes what finds no other.
 */
static GMutex block_lock;
static struct qemu_plugin_scoreboard *block_score;
static GHashTable *block_slot;
static uint64_t *block_addr;
static uint16_t *block_insns;
static unsigned int n_blocks;

static char *socket_path;
static int listen_fd = -1;

static bool is_kernel(uint64_t addr)
{
    return addr >> 63;
}

static GArray *snapshot(void)
{
    int i, n = qemu_plugin_num_vcpus();
    GArray *a = g_array_sized_new(false, true, sizeof(Counters), n);

    for (i = 0; i < n; i++) {
        Counters *c = qemu_plugin_scoreboard_find(score, i);

        g_array_append_vals(a, c, 1);
    }
    return a;
}

static void vcpu_mark(unsigned int vcpu, void *udata)
{
    GArray *now = snapshot();

    g_mutex_lock(&mark_lock);
    if (marks->len < MAX_MARKS) {
        g_ptr_array_add(marks, now);
        now = NULL;
    }
    g_cond_broadcast(&mark_cond);
    g_mutex_unlock(&mark_lock);
    if (now) {
        g_array_free(now, true);
    }
}

/*
 * Bytes that one step of a rep-prefixed movs, stos or ins writes; 0 for every other instruction.
 */
static unsigned int string_width(const uint8_t *b, size_t n)
{
    bool rep = false, wide = false, half = false;
    size_t i;

    for (i = 0; i < n; i++) {
        if (b[i] == 0xf2 || b[i] == 0xf3) {
            rep = true;
        } else if (b[i] == 0x66) {
            half = true;
        } else if ((b[i] & 0xf0) == 0x40) {
            wide = b[i] & 8;
        } else if ((b[i] & 0xfc) != 0x64 && (b[i] & 0xe7) != 0x26) {
            break;  /* neither fs, gs, operand or address size, nor es, cs, ss, ds */
        }
    }
    if (i >= n || !rep) {
        return 0;
    }
    switch (b[i]) {
    case 0x6c: case 0xa4: case 0xaa:
        return 1;
    case 0x6d: case 0xa5: case 0xab:
        return wide ? 8 : half ? 2 : 4;
    default:
        return 0;
    }
}

static unsigned int slot_of_block(uint64_t addr, size_t n_insns)
{
    unsigned int slot;

    g_mutex_lock(&block_lock);
    slot = GPOINTER_TO_UINT(g_hash_table_lookup(block_slot, &addr));
    if (!slot && n_blocks < MAX_BLOCKS) {
        slot = n_blocks++;
        block_addr[slot] = addr;
        block_insns[slot] = n_insns;
        g_hash_table_insert(block_slot, &block_addr[slot], GUINT_TO_POINTER(slot));
    }
    g_mutex_unlock(&block_lock);
    return slot;
}

static void vcpu_tb_trans(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t i, n = qemu_plugin_tb_n_insns(tb);
    uint64_t addr = qemu_plugin_tb_vaddr(tb);
    bool kernel = is_kernel(addr);

    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64,
                                                      kernel ? kernel_insns : user_insns, n);
    if (kernel) {
        qemu_plugin_u64 entry = { block_score, slot_of_block(addr, n) * sizeof(uint64_t) };

        qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, QEMU_PLUGIN_INLINE_ADD_U64, entry, n);
    }
    for (i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint8_t bytes[MAX_INSN];
        size_t len = qemu_plugin_insn_data(insn, bytes, sizeof(bytes));
        unsigned int width;

        if (!kernel) {
            if (len == sizeof(MARK) && !memcmp(bytes, MARK, len)) {
                qemu_plugin_register_vcpu_insn_exec_cb(insn, vcpu_mark, QEMU_PLUGIN_CB_NO_REGS,
                                                       NULL);
            }
            continue;
        }
        qemu_plugin_register_vcpu_mem_inline_per_vcpu(insn, QEMU_PLUGIN_MEM_RW,
                                                      QEMU_PLUGIN_INLINE_ADD_U64, kernel_access, 1);
        width = string_width(bytes, len);
        if (width) {
            qemu_plugin_register_vcpu_mem_inline_per_vcpu(
                insn, QEMU_PLUGIN_MEM_W, QEMU_PLUGIN_INLINE_ADD_U64, kernel_string, width);
        }
    }
}

static void print_counters(GString *out, const GArray *a)
{
    guint i;

    g_string_append(out, "{\"vcpus\":[");
    for (i = 0; i < a->len; i++) {
        const Counters *c = &g_array_index(a, Counters, i);

        g_string_append_printf(out, "%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", i ? "," : "",
                               c->kernel, c->user, c->access, c->string);
    }
    g_string_append(out, "]}");
}

static void print_error(GString *out, const char *what)
{
    g_string_append_printf(out, "{\"error\":\"%s\"}", what);
}

static void answer_wait(GString *out, unsigned int want, unsigned int ms)
{
    gint64 end = g_get_monotonic_time() + (gint64)ms * 1000;

    g_mutex_lock(&mark_lock);
    while (marks->len < want && g_cond_wait_until(&mark_cond, &mark_lock, end)) {
        continue;
    }
    g_string_append_printf(out, "{\"marks\":%u}", marks->len);
    g_mutex_unlock(&mark_lock);
}

static void answer_mark(GString *out, unsigned int i)
{
    g_mutex_lock(&mark_lock);
    if (i >= 1 && i <= marks->len) {
        print_counters(out, g_ptr_array_index(marks, i - 1));
    } else {
        print_error(out, "no such mark");
    }
    g_mutex_unlock(&mark_lock);
}

static void answer_block(GString *out, uint64_t addr)
{
    int vcpu, n_vcpus = qemu_plugin_num_vcpus();
    unsigned int slot, insns;

    g_mutex_lock(&block_lock);
    slot = GPOINTER_TO_UINT(g_hash_table_lookup(block_slot, &addr));
    insns = slot ? block_insns[slot] : 1;
    g_mutex_unlock(&block_lock);
    g_string_append(out, "{\"vcpus\":[");
    for (vcpu = 0; vcpu < n_vcpus; vcpu++) {
        const uint64_t *count = qemu_plugin_scoreboard_find(block_score, vcpu);

        g_string_append_printf(out, "%s%" PRIu64, vcpu ? "," : "", slot ? count[slot] / insns : 0);
    }
    g_string_append(out, "]}");
}

static void answer_profile(GString *out, const char *path)
{
    unsigned int slot, n, lines = 0;
    int vcpu, n_vcpus = qemu_plugin_num_vcpus();
    FILE *f;

    f = fopen(path, "w");
    if (!f) {
        print_error(out, "the file cannot be written");
        return;
    }
    /* The addresses of the slots below n do not change any more. */
    g_mutex_lock(&block_lock);
    n = n_blocks;
    g_mutex_unlock(&block_lock);
    for (vcpu = 0; vcpu < n_vcpus; vcpu++) {
        const uint64_t *count = qemu_plugin_scoreboard_find(block_score, vcpu);

        for (slot = 0; slot < n; slot++) {
            if (count[slot]) {
                fprintf(f, "%d %" PRIx64 " %" PRIu64 "\n", vcpu, block_addr[slot], count[slot]);
                lines++;
            }
        }
    }
    if (fclose(f)) {
        print_error(out, "the file cannot be written");
        return;
    }
    g_string_append_printf(out, "{\"lines\":%u}", lines);
}

static void answer(GString *out, const char *line)
{
    unsigned int a, b;
    uint64_t addr;

    if (!strcmp(line, "read")) {
        g_autoptr(GArray) now = snapshot();

        print_counters(out, now);
    } else if (sscanf(line, "wait %u %u", &a, &b) == 2) {
        answer_wait(out, a, b);
    } else if (sscanf(line, "mark %u", &a) == 1) {
        answer_mark(out, a);
    } else if (sscanf(line, "block %" SCNx64, &addr) == 1) {
        answer_block(out, addr);
    } else if (g_str_has_prefix(line, "profile /")) {
        answer_profile(out, line + strlen("profile "));
    } else {
        print_error(out, "unknown request");
    }
    g_string_append_c(out, '\n');
}

static gpointer serve(gpointer arg)
{
    for (;;) {
        int fd = accept(listen_fd, NULL, NULL);
        char line[1024];
        FILE *f;

        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED) {
                continue;
            }
            return NULL;
        }
        f = fdopen(fd, "r");
        if (!f) {
            close(fd);
            continue;
        }
        while (fgets(line, sizeof(line), f)) {
            g_autoptr(GString) out = g_string_new(NULL);

            line[strcspn(line, "\r\n")] = '\0';
            answer(out, line);
            if (send(fd, out->str, out->len, MSG_NOSIGNAL) != (ssize_t)out->len) {
                break;
            }
        }
        fclose(f);
    }
}

/*
 * QEMU may have forked into the background since the plugin was installed: threads start with the
 * first vCPU.
 */
static void vcpu_init(qemu_plugin_id_t id, unsigned int vcpu)
{
    static gsize started;

    if (g_once_init_enter(&started)) {
        g_thread_unref(g_thread_new("insn-count", serve, NULL));
        g_once_init_leave(&started, 1);
    }
}

static void plugin_exit(qemu_plugin_id_t id, void *p)
{
    unlink(socket_path);
}

static bool open_socket(void)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };

    if (strlen(socket_path) >= sizeof(sun.sun_path)) {
        fprintf(stderr, "insn-count: socket=%s is longer than the %zu characters of a unix socket's path\n", socket_path,
                sizeof(sun.sun_path) - 1);
        return false;
    }
    strcpy(sun.sun_path, socket_path);
    unlink(socket_path);
    listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&sun, sizeof(sun)) ||
        listen(listen_fd, 4)) {
        fprintf(stderr, "insn-count: socket=%s: %s\n", socket_path, strerror(errno));
        return false;
    }
    return true;
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                           char **argv)
{
    int i;

    for (i = 0; i < argc; i++) {
        g_auto(GStrv) kv = g_strsplit(argv[i], "=", 2);

        if (!g_strcmp0(kv[0], "socket") && kv[1] && kv[1][0]) {
            socket_path = g_strdup(kv[1]);
        } else {
            fprintf(stderr, "insn-count: unknown argument '%s': it takes socket=PATH\n", argv[i]);
            return -1;
        }
    }
    if (!info->system_emulation || !socket_path) {
        fprintf(stderr, "insn-count: %s\n", socket_path ? "a plugin for system emulation" : "socket=PATH is missing");
        return -1;
    }
    if (!open_socket()) {
        return -1;
    }
    marks = g_ptr_array_new();
    score = qemu_plugin_scoreboard_new(sizeof(Counters));
    kernel_insns = qemu_plugin_scoreboard_u64_in_struct(score, Counters, kernel);
    user_insns = qemu_plugin_scoreboard_u64_in_struct(score, Counters, user);
    kernel_access = qemu_plugin_scoreboard_u64_in_struct(score, Counters, access);
    kernel_string = qemu_plugin_scoreboard_u64_in_struct(score, Counters, string);
    block_score = qemu_plugin_scoreboard_new(MAX_BLOCKS * sizeof(uint64_t));
    block_slot = g_hash_table_new(g_int64_hash, g_int64_equal);
    block_addr = g_new0(uint64_t, MAX_BLOCKS);
    block_insns = g_new0(uint16_t, MAX_BLOCKS);
    n_blocks = 1;
    qemu_plugin_register_vcpu_init_cb(id, vcpu_init);
    qemu_plugin_register_vcpu_tb_trans_cb(id, vcpu_tb_trans);
    qemu_plugin_register_atexit_cb(id, plugin_exit, NULL);
    return 0;
}
