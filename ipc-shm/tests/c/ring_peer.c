/*
 * A program in C at the other end of a ring: it knows the layout that src/ring/layout.rs describes, and
 * nothing else of us.
 *
 *     ring_peer send NAME COUNT     connects as the sender, sends COUNT messages, leaves
 *     ring_peer recv NAME           connects as the receiver, prints "LENGTH SUM" for each message, until the
 *                                   sender leaves
 *
 * Message number i has (i * 37) % 1500 bytes, each of them i.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SIDE_A = 128, SIDE_B = 256, RING = 1024, DATA = 4096 };
enum { CLAIM = 0, NAMESPACE = 8, STATE = 16 };
enum { HEAD = RING, CONSUMER_WAITS = RING + 128, PRODUCER_WAITS = RING + 136, PRODUCER_CLOSED = RING + 144,
       CONSUMER_CLOSED = RING + 152 };
enum { AWAKE = 0, ASLEEP = 2 };

static const uint64_t MORE = 1ull << 32, SKIP = 1ull << 33, HERE = 1ull << 34;

static char *memory;
static uint64_t capacity;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t *word(uint64_t at)
{
    return (uint64_t *)(memory + at);
}

static uint64_t *record_at(uint64_t counter)
{
    return word(DATA + (counter & (capacity - 1)));
}

static void fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void wake(uint64_t at)
{
    fence();
    if (__atomic_load_n(word(at), __ATOMIC_RELAXED) == ASLEEP &&
        __atomic_exchange_n(word(at), AWAKE, __ATOMIC_ACQ_REL) == ASLEEP)
        syscall(SYS_futex, word(at), FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Sleeps at most 20 ms; `nothing` is asked once more before. */
static void nap(uint64_t at, int (*nothing)(void))
{
    struct timespec limit = { 0, 20 * 1000 * 1000 };
    __atomic_exchange_n(word(at), ASLEEP, __ATOMIC_ACQ_REL);
    fence();
    if (nothing())
        syscall(SYS_futex, word(at), FUTEX_WAIT, ASLEEP, &limit, NULL, 0);
    __atomic_store_n(word(at), AWAKE, __ATOMIC_RELAXED);
}

/* Field 22 of /proc/self/stat. */
static uint64_t start_time(void)
{
    char stat[4096];
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file)
        fail("/proc/self/stat");
    stat[fread(stat, 1, sizeof stat - 1, file)] = 0;
    fclose(file);
    char *field = strrchr(stat, ')');
    for (int number = 2; field && number < 22; number++)
        field = strchr(field + 1, ' ');
    if (!field)
        fail("stat");
    return strtoull(field, NULL, 10);
}

static void join(const char *name, uint64_t side)
{
    int fd = shm_open(name, O_RDWR | O_CLOEXEC, 0);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) < 0)
        fail(name);
    memory = mmap(NULL, stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        fail("mmap");
    close(fd);
    if (stat.st_size < DATA || memcmp(memory, "ipc-ring", 8) || *word(8) != 1 || *word(16) != 1) {
        fprintf(stderr, "%s is no ring of version 1 that goes one way\n", name);
        exit(1);
    }
    capacity = *word(24);
    if (capacity < 4096 || (capacity & (capacity - 1)) || capacity > (uint64_t)stat.st_size - DATA) {
        fprintf(stderr, "%s cannot have a ring of that capacity\n", name);
        exit(1);
    }
    uint64_t nobody = 0, me = start_time() << 22 | (uint64_t)getpid();
    if (!__atomic_compare_exchange_n(word(side + CLAIM), &nobody, me, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        fprintf(stderr, "%s has a peer already\n", name);
        exit(1);
    }
    if (stat.st_size > 0 && fstatat(AT_FDCWD, "/proc/self/ns/pid", &stat, 0) == 0)
        *word(side + NAMESPACE) = stat.st_ino;
    __atomic_store_n(word(side + STATE), 1, __ATOMIC_RELEASE);
}

static void leave(uint64_t side, uint64_t closed, uint64_t waits)
{
    __atomic_store_n(word(closed), 1, __ATOMIC_RELEASE);
    __atomic_store_n(word(side + STATE), 2, __ATOMIC_RELEASE);
    wake(waits);
}

/* The sender's counter, and how much room it wants. */
static uint64_t tail, needed;

static int no_room(void)
{
    uint64_t head = __atomic_load_n(word(HEAD), __ATOMIC_ACQUIRE);
    if (head > tail || tail - head > capacity || head % 8) {
        fprintf(stderr, "the receiver's counter is nonsense\n");
        exit(1);
    }
    return capacity - (tail - head) < needed;
}

static void send_message(const char *bytes, uint64_t length)
{
    uint64_t size = 8 + (length + 7) / 8 * 8, to_end = capacity - (tail & (capacity - 1));
    uint64_t skip = size > to_end ? to_end : 0;
    needed = skip + size + 8;
    while (no_room())
        nap(PRODUCER_WAITS, no_room);
    if (skip) {
        *record_at(tail + skip) = 0;
        __atomic_store_n(record_at(tail), HERE | SKIP | (skip - 8), __ATOMIC_RELEASE);
        tail += skip;
    }
    memcpy(record_at(tail) + 1, bytes, length);
    *record_at(tail + size) = 0;
    __atomic_store_n(record_at(tail), HERE | length, __ATOMIC_RELEASE);
    tail += size;
    wake(CONSUMER_WAITS);
}

/* The receiver's counter. */
static uint64_t head;

static int nothing(void)
{
    return __atomic_load_n(record_at(head), __ATOMIC_ACQUIRE) == 0 &&
           !__atomic_load_n(word(PRODUCER_CLOSED), __ATOMIC_ACQUIRE);
}

static void give_back(void)
{
    __atomic_store_n(word(HEAD), head, __ATOMIC_RELEASE);
    wake(PRODUCER_WAITS);
}

/* One record; 0 at the end. */
static int receive_record(uint64_t *length, uint64_t *sum)
{
    for (;;) {
        uint64_t closed = __atomic_load_n(word(PRODUCER_CLOSED), __ATOMIC_ACQUIRE);
        uint64_t record = __atomic_load_n(record_at(head), __ATOMIC_ACQUIRE);
        if (!record && closed)
            return 0;
        if (!record) {
            nap(CONSUMER_WAITS, nothing);
            continue;
        }
        uint64_t bytes = record & 0xffffffff, size = 8 + (bytes + 7) / 8 * 8;
        if (!(record & HERE) || size > capacity - (head & (capacity - 1))) {
            fprintf(stderr, "a record is nonsense\n");
            exit(1);
        }
        if (!(record & SKIP)) {
            const unsigned char *payload = (const unsigned char *)(record_at(head) + 1);
            *length += bytes;
            for (uint64_t at = 0; at < bytes; at++)
                *sum += payload[at];
        }
        head += size;
        give_back();
        if (!(record & (SKIP | MORE)))
            return 1;
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "send")) {
        char message[1500];
        join(argv[2], SIDE_A);
        for (long i = 0; i < atol(argv[3]); i++) {
            memset(message, (int)i, sizeof message);
            send_message(message, (uint64_t)i * 37 % 1500);
        }
        leave(SIDE_A, PRODUCER_CLOSED, CONSUMER_WAITS);
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "recv")) {
        uint64_t length = 0, sum = 0;
        join(argv[2], SIDE_B);
        for (; receive_record(&length, &sum); length = sum = 0)
            printf("%llu %llu\n", (unsigned long long)length, (unsigned long long)sum);
        leave(SIDE_B, CONSUMER_CLOSED, PRODUCER_WAITS);
        return 0;
    }
    fprintf(stderr, "usage: %s send NAME COUNT | recv NAME\n", argv[0]);
    return 2;
}
