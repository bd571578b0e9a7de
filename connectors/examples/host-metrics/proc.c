/* Reads /proc/stat, meminfo, loadavg, net/dev and diskstats. Lines and columns that are not known are passed over. */
#define _POSIX_C_SOURCE 200809L
#include "proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR_BYTES 512.0
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One more sample, without labels; NULL = memory ran out. */
static struct sample *add(struct samples *samples, const char *name, const char *unit, double value) {
    struct sample *sample;
    if (samples->count == samples->cap) {
        const size_t cap = samples->cap == 0 ? 64 : samples->cap * 2;
        struct sample *items = realloc(samples->items, cap * sizeof(*items));
        if (items == NULL)
            return NULL;
        samples->items = items;
        samples->cap = cap;
    }
    sample = &samples->items[samples->count++];
    memset(sample, 0, sizeof(*sample));
    sample->name = name;
    sample->unit = unit;
    sample->value = value;
    return sample;
}

static void label(struct sample *sample, size_t index, const char *name, const char *value) {
    sample->label_names[index] = name;
    snprintf(sample->labels[index], LABEL_BYTES, "%s", value);
}

/* Reads up to `most` numbers that follow each other. */
static size_t numbers(const char *text, double *found, size_t most) {
    size_t count = 0;
    while (count < most) {
        char *end;
        const unsigned long long number = strtoull(text, &end, 10);
        if (end == text)
            break;
        found[count++] = (double)number;
        text = end;
    }
    return count;
}

/* "cpu0 user nice system idle iowait irq softirq steal …", in ticks; "cpu" is the sum of all. */
static bool read_cpu(char *text, struct samples *samples) {
    static const char *const modes[] = {"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"};
    const double ticks = (double)sysconf(_SC_CLK_TCK);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        double found[COUNT(modes)];
        char *columns = strchr(line, ' ');
        size_t count;
        if (strncmp(line, "cpu", 3) != 0 || columns == NULL)
            continue;
        *columns = '\0';
        count = numbers(columns + 1, found, COUNT(modes));
        for (size_t index = 0; index < count; index++) {
            struct sample *sample = add(samples, "cpu.seconds", "seconds", found[index] / ticks);
            if (sample == NULL)
                return false;
            label(sample, 0, "cpu", line[3] == '\0' ? "all" : line + 3);
            label(sample, 1, "mode", modes[index]);
        }
    }
    return true;
}

/* "MemTotal:  16315432 kB" */
static bool read_memory(char *text, struct samples *samples) {
    static const struct {
        const char *key;
        const char *name;
    } known[] = {
        {"MemTotal", "memory.total"},     {"MemFree", "memory.free"},     {"MemAvailable", "memory.available"},
        {"Buffers", "memory.buffers"},    {"Cached", "memory.cached"},    {"SwapTotal", "swap.total"},
        {"SwapFree", "swap.free"},
    };
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *colon = strchr(line, ':');
        double kilobytes;
        if (colon == NULL || numbers(colon + 1, &kilobytes, 1) != 1)
            continue;
        *colon = '\0';
        for (size_t index = 0; index < COUNT(known); index++) {
            if (strcmp(line, known[index].key) == 0 &&
                add(samples, known[index].name, "bytes", kilobytes * 1024) == NULL)
                return false;
        }
    }
    return true;
}

/* "0.50 0.25 0.10 2/345 6789": the load, and how many of how many threads are running. */
static bool read_load(char *text, struct samples *samples) {
    double load[3];
    unsigned long long running, total;
    if (sscanf(text, "%lf %lf %lf %llu/%llu", &load[0], &load[1], &load[2], &running, &total) != 5)
        return true;
    return add(samples, "load.1m", "1", load[0]) != NULL && add(samples, "load.5m", "1", load[1]) != NULL &&
           add(samples, "load.15m", "1", load[2]) != NULL &&
           add(samples, "threads.running", "1", (double)running) != NULL &&
           add(samples, "threads.total", "1", (double)total) != NULL;
}

/* A column of a device's line. */
struct column {
    size_t index;
    const char *name;
    const char *unit;
    double factor;
};

static bool add_columns(struct samples *samples, const char *device, const char *text, const struct column *columns,
                        size_t count) {
    double found[16];
    const size_t there = numbers(text, found, COUNT(found));
    for (size_t index = 0; index < count; index++) {
        struct sample *sample;
        if (columns[index].index >= there)
            continue;
        sample = add(samples, columns[index].name, columns[index].unit, found[columns[index].index] * columns[index].factor);
        if (sample == NULL)
            return false;
        label(sample, 0, "device", device);
    }
    return true;
}

/* "  eth0: bytes packets errs drop fifo frame compressed multicast" and the same of what was sent. */
static bool read_network(char *text, struct samples *samples) {
    static const struct column columns[] = {
        {0, "network.receive.bytes", "bytes", 1},    {1, "network.receive.packets", "1", 1},
        {2, "network.receive.errors", "1", 1},       {3, "network.receive.drops", "1", 1},
        {8, "network.transmit.bytes", "bytes", 1},   {9, "network.transmit.packets", "1", 1},
        {10, "network.transmit.errors", "1", 1},     {11, "network.transmit.drops", "1", 1},
    };
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *colon = strchr(line, ':');
        if (colon == NULL)
            continue;
        *colon = '\0';
        line += strspn(line, " ");
        if (!add_columns(samples, line, colon + 1, columns, COUNT(columns)))
            return false;
    }
    return true;
}

/* "   8       0 sda reads merged sectors ms writes merged sectors ms under-way busy-ms …" */
static bool read_disk(char *text, struct samples *samples) {
    static const struct column columns[] = {
        {0, "disk.reads", "1", 1},  {2, "disk.read.bytes", "bytes", SECTOR_BYTES},
        {4, "disk.writes", "1", 1}, {6, "disk.write.bytes", "bytes", SECTOR_BYTES},
        {9, "disk.busy", "seconds", 0.001},
    };
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char device[LABEL_BYTES];
        int end = 0;
        if (sscanf(line, "%*d %*d %63s%n", device, &end) != 1 || strncmp(device, "loop", 4) == 0 ||
            strncmp(device, "ram", 3) == 0)
            continue;
        if (!add_columns(samples, device, line + end, columns, COUNT(columns)))
            return false;
    }
    return true;
}

const struct group groups[GROUPS] = {
    {"cpu", "stat", read_cpu},           {"memory", "meminfo", read_memory}, {"load", "loadavg", read_load},
    {"network", "net/dev", read_network}, {"disk", "diskstats", read_disk},
};
