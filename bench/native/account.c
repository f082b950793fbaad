#include "account.h"
#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PROCESSES_LIMIT = 8192 };

struct process {
    int id, parent;
    double cpu_seconds;
    long resident_kib, threads;
};

/* Reads /proc/<id>/stat; see proc_pid_stat(5) for the fields. False when the process is gone. */
static bool read_process(int id, struct process *process)
{
    char path[64], line[1024];
    unsigned long user, system;
    long children_user, children_system, threads, pages;
    int parent;
    snprintf(path, sizeof path, "/proc/%d/stat", id);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[length] = 0;
    const char *after_name = strrchr(line, ')'); /* the name may hold anything, also a ")" */
    if (!after_name ||
        sscanf(after_name + 2,
               "%*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d %ld %*d %*u %*u %ld",
               &parent, &user, &system, &children_user, &children_system, &threads, &pages) != 7)
        return false;
    double ticks = (double)user + (double)system + (double)children_user + (double)children_system;
    *process = (struct process){
        .id = id,
        .parent = parent,
        .cpu_seconds = ticks / (double)sysconf(_SC_CLK_TCK),
        .resident_kib = pages * (sysconf(_SC_PAGESIZE) / 1024),
        .threads = threads,
    };
    return true;
}

static bool holds(const struct tree *tree, int id)
{
    for (int i = 0; i < tree->size; i++)
        if (tree->ids[i] == id)
            return true;
    return false;
}

void account_find(struct tree *tree, int root)
{
    static struct process processes[PROCESSES_LIMIT];
    int count = 0, before;
    tree->size = 0;
    if (!root)
        return;
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    while (directory && (entry = readdir(directory)) && count < PROCESSES_LIMIT)
        if (isdigit((unsigned char)entry->d_name[0]) && read_process(atoi(entry->d_name), &processes[count]))
            count++;
    if (directory)
        closedir(directory);
    tree->ids[0] = root;
    tree->size = 1;
    do { /* once per generation */
        before = tree->size;
        for (int i = 0; i < count && tree->size < TREE_LIMIT; i++)
            if (holds(tree, processes[i].parent) && !holds(tree, processes[i].id))
                tree->ids[tree->size++] = processes[i].id;
    } while (tree->size > before);
}

struct account account_read(const struct tree *tree)
{
    struct account sum = {0};
    struct process process;
    for (int i = 0; i < tree->size; i++) {
        if (!read_process(tree->ids[i], &process))
            continue;
        sum.cpu_seconds += process.cpu_seconds;
        sum.resident_kib += process.resident_kib;
        sum.threads += (int)process.threads;
        sum.processes++;
    }
    return sum;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

double own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* The first line of /proc/stat, see proc_stat(5): user nice system idle iowait irq softirq steal. */
struct machine_time machine_time_read(void)
{
    struct machine_time time = {0};
    FILE *file = fopen("/proc/stat", "r");
    if (!file)
        return time;
    double field = 0;
    if (fscanf(file, "cpu") == 0)
        for (int i = 0; i < 8 && fscanf(file, "%lf", &field) == 1; i++)
            time.ticks += field;
    time.stolen = field;
    fclose(file);
    return time;
}
