/* The numbers in Linux' /proc, read by group. */
#ifndef HOST_METRICS_PROC_H
#define HOST_METRICS_PROC_H

#include <stdbool.h>
#include <stddef.h>

#define LABELS 2
#define LABEL_BYTES 64

/* One number. */
struct sample {
    const char *name;
    const char *unit;
    double value;
    /* Names of its labels, NULL = none, and their values. */
    const char *label_names[LABELS];
    char labels[LABELS][LABEL_BYTES];
};

/* Samples in order; all zero = none. */
struct samples {
    struct sample *items;
    size_t count;
    size_t cap;
};

/* What belongs together: the option's word, the file below /proc, and what reads it. */
struct group {
    const char *name;
    const char *file;
    /* Adds the samples in the file's text, which is written to; false = memory ran out. */
    bool (*read)(char *text, struct samples *samples);
};

#define GROUPS 5
extern const struct group groups[GROUPS];

#endif
