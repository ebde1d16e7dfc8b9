// The time of day of one process, set by the seconds in the file that DATE_FILE names.
//
// gcc -shared -fPIC -o date.so date.c, and LD_PRELOAD=date.so. Waits that end at a time
// of day end as they do where the date of a machine is set: at once if it is set beyond
// their end, late if it is set back. Linux with glibc.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

// How long a wait may overlook that the date was set.
#define SLICE_NANOSECONDS 50000000L
#define SECOND 1000000000L

static const int64_t nothing = 0;
static const volatile int64_t *offset = &nothing;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_cond)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_cond_clock)(pthread_cond_t *, pthread_mutex_t *, clockid_t,
                              const struct timespec *);
static int (*real_semaphore)(sem_t *, const struct timespec *);
static long (*real_syscall)(long, ...);

__attribute__((constructor)) static void find(void) {
  if (real_clock) return;
  real_cond = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  if (!real_cond) real_cond = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  real_cond_clock = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  real_semaphore = dlsym(RTLD_NEXT, "sem_timedwait");
  real_syscall = dlsym(RTLD_NEXT, "syscall");
  real_clock = dlsym(RTLD_NEXT, "clock_gettime");
  const char *name = getenv("DATE_FILE");
  int file = name ? open(name, O_RDONLY) : -1;
  if (file < 0) return;
  void *seen = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  if (seen != MAP_FAILED) offset = seen;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  find();
  int code = real_clock(clock, now);
  if (!code && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += *offset;
  return code;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec date;
  clock_gettime(CLOCK_REALTIME, &date);
  now->tv_sec = date.tv_sec;
  now->tv_usec = date.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec date;
  clock_gettime(CLOCK_REALTIME, &date);
  if (now) *now = date.tv_sec;
  return date.tv_sec;
}

static bool is_before(struct timespec one, struct timespec other) {
  return one.tv_sec != other.tv_sec ? one.tv_sec < other.tv_sec
                                    : one.tv_nsec < other.tv_nsec;
}

static bool is_over(const struct timespec *end) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return !is_before(now, *end);
}

// Of a wait until `end`, the next part, by the machine's own date.
static struct timespec part(const struct timespec *end) {
  struct timespec slice, real = *end;
  find();
  real.tv_sec -= *offset;
  if (real.tv_sec < 0) real = (struct timespec){0, 0};
  real_clock(CLOCK_REALTIME, &slice);
  slice.tv_nsec += SLICE_NANOSECONDS;
  slice.tv_sec += slice.tv_nsec / SECOND;
  slice.tv_nsec %= SECOND;
  return is_before(slice, real) ? slice : real;
}

// A condition may wake for no reason, and the caller waits again.
static int woken(int code, const struct timespec *end) {
  return code == ETIMEDOUT && !is_over(end) ? 0 : code;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition,
                           pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict end) {
  find();
  if (condition->__data.__wrefs & 2)  // of the monotonic clock
    return real_cond(condition, mutex, end);
  struct timespec until = part(end);
  return woken(real_cond(condition, mutex, &until), end);
}

int pthread_cond_clockwait(pthread_cond_t *restrict condition,
                           pthread_mutex_t *restrict mutex, clockid_t clock,
                           const struct timespec *restrict end) {
  find();
  if (clock != CLOCK_REALTIME) return real_cond_clock(condition, mutex, clock, end);
  struct timespec until = part(end);
  return woken(real_cond_clock(condition, mutex, clock, &until), end);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict end) {
  for (;;) {
    struct timespec until = part(end);
    int code = real_semaphore(semaphore, &until);
    if (!code || errno != ETIMEDOUT || is_over(end)) return code;
  }
}

// Abseil waits by the system call itself.
long syscall(long number, ...) {
  long given[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++) given[i] = va_arg(list, long);
  va_end(list);
  find();
  const struct timespec *end = (const struct timespec *)given[3];
  bool is_dated = number == SYS_futex && end &&
                  given[1] & FUTEX_CLOCK_REALTIME &&
                  (given[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
  struct timespec until;
  if (is_dated) {
    until = part(end);
    given[3] = (long)&until;
  }
  long code = real_syscall(number, given[0], given[1], given[2], given[3], given[4],
                           given[5]);
  if (is_dated && code == -1 && errno == ETIMEDOUT && !is_over(end)) errno = EINTR;
  return code;
}
