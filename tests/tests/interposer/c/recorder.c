// In place of libmemtrace_core.so: writes each event as a line to the file $EVENTS.
// An event is as in interposer/hook/src/event.rs; the test would fail if the two went apart.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ABI 4 /* interposer/hook/src/event.rs */

struct event {
    uint8_t op, class, api, device;
    int32_t result;
    uint64_t address, size, aux, extra;
    uint32_t classes, entry;
    uint8_t private;
    uint32_t *thread;
};
struct start { uint32_t abi; const char *names; uint64_t length; uint64_t inside; };
struct recorder { uint32_t abi; void (*record)(struct event *); void (*exit)(void); };

static const char *ops[] = {"?", "took", "giving", "gave", "block-back", "reading", "oom", "reset",
                            "capture", "device", "retained", "lost", "driver", "mark"};
static const char *names;
static uint64_t names_length;
static int file = -1;

static void say(const char *text) {
    if (write(file, text, strlen(text)) < 0) _exit(99);
}

static void api_name(unsigned api, char *out, size_t room) {
    const char *at = names, *end = names + names_length;
    while (api-- && at) at = memchr(at, '\n', end - at) + 1;
    const char *stop = memchr(at, '\n', end - at);
    snprintf(out, room, "%.*s", (int)(stop - at), at);
}

static void record(struct event *event) {
    char line[256], api[64];
    api_name(event->api, api, sizeof api);
    if (event->op == 2 && event->address == 0x10000) event->entry = 5;
    snprintf(line, sizeof line, "%s %s class=%d device=%d result=%d address=%#lx size=%lu aux=%#lx extra=%#lx depth=%u%s\n",
             ops[event->op], api, event->class, event->device, event->result, event->address, event->size,
             event->aux, event->extra, event->thread[0], event->private ? " private" : "");
    say(line);
}

static void finish(void) { say("exit\n"); }

static const struct recorder recorder = {ABI, record, finish};

const struct recorder *memtrace_core_start(const struct start *start) {
    names = start->names, names_length = start->length;
    const char *path = getenv("EVENTS");
    if (start->abi != ABI || !path || (file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0) return 0;
    say("start\n");
    return &recorder;
}
