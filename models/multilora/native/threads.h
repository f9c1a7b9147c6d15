// How work is shared between threads, and what each keeps for itself.
#pragma once
#include <cstddef>
#include <cstdlib>

constexpr long WORTH_THREADS = 1 << 14;  // values; below, starting them costs more

inline int worth(int threads, long values) { return values < WORTH_THREADS ? 1 : threads; }

// A thread's own, behind a pointer that the compiler cannot see through: it would look the thread's
// memory up again at every access.
template <class T>
T &own() {
    static thread_local T mine;
    T *at = &mine;
    asm("" : "+r"(at));
    return *at;
}

template <class T>
class Room {  // memory of one thread that grows to what was ever asked for
    T *held = nullptr;
    size_t many = 0;

   public:
    T *of(size_t count) {
        if (count > many) {
            free(held);
            held = (T *)aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64);
            many = count;
        }
        return held;
    }
    ~Room() { free(held); }
};
