// Vectors of fp32, bf16 at their edges, and one exponential: compiler extensions, so that any CPU works.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int LANES = 16;
#elif defined(__AVX__)
constexpr int LANES = 8;
#else
constexpr int LANES = 4;
#endif

typedef float Vec __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef uint32_t Bits __attribute__((vector_size(LANES * 4)));
typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));

struct Bf16 {
    uint16_t bits;
};

template <class To, class From>
inline To same_bits(const From &from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

inline Vec all(float x) { return x - Vec{}; }

// Any vector at any address. (memcpy would do, but GCC calls the library for 64 bytes.)
template <class V>
inline V load_as(const void *from) {
    typedef V Anywhere __attribute__((aligned(1), may_alias));
    return *(const Anywhere *)from;
}

template <class V>
inline void store_as(void *to, V v) {
    typedef V Anywhere __attribute__((aligned(1), may_alias));
    *(Anywhere *)to = v;
}

inline Vec load(const float *from) { return load_as<Vec>(from); }

inline Vec load(const Bf16 *from) {
    return (Vec)(__builtin_convertvector(load_as<Halves>(from), Bits) << 16);
}

inline void store(float *to, Vec v) { store_as(to, v); }

// To the nearest bf16, ties to even; a NaN stays one.
inline Halves narrow(Vec v) {
#if defined(__AVX512BF16__)
    return (Halves)_mm512_cvtneps_pbh(v);
#else
    Bits bits = (Bits)v;
    Bits rounded = bits + 0x7fff + ((bits >> 16) & 1);
    return __builtin_convertvector((v == v ? rounded : bits | 0x400000) >> 16, Halves);
#endif
}

inline void store(Bf16 *to, Vec v) { store_as(to, narrow(v)); }

// The first n lanes alone.
template <class T>
inline Vec load(const T *from, long n) {
    if (n >= LANES) return load(from);
    T some[LANES] = {};
    for (long i = 0; i < n; i++) some[i] = from[i];
    return load(some);
}

template <class T>
inline void store(T *to, Vec v, long n) {
    if (n >= LANES) return store(to, v);
    T some[LANES];
    store(some, v);
    for (long i = 0; i < n; i++) to[i] = some[i];
}

// What is left of v after it was stored as T.
inline Vec rounded(Vec v, const float *) { return v; }
inline Vec rounded(Vec v, const Bf16 *) {
    return (Vec)(__builtin_convertvector(narrow(v), Bits) << 16);
}

inline float sum(Vec v) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps(v);
#else
    float total = 0;
    for (int i = 0; i < LANES; i++) total += v[i];
    return total;
#endif
}

constexpr float LOG2E = 1.44269504088896341f;
constexpr float LN2 = 0.69314718055994531f;

inline Vec larger(Vec a, Vec b) {  // b where a is NaN
#if defined(__AVX512F__)
    return _mm512_max_ps(a, b);
#else
    return a > b ? a : b;
#endif
}

inline Vec root(Vec v) {
#if defined(__AVX512F__)
    return _mm512_sqrt_ps(v);
#else
    for (int i = 0; i < LANES; i++) v[i] = __builtin_sqrtf(v[i]);
    return v;
#endif
}

// 2^f for f of -1/2 to 1/2, to 1e-7 of it.
inline Vec power_of_two(Vec f) {
    Vec p = all(1.3276467e-3f);
    p = p * f + 9.6755413e-3f;
    p = p * f + 5.5507133e-2f;
    p = p * f + 2.4022120e-1f;
    p = p * f + 6.9314697e-1f;
    return p * f + 1.0000001f;
}

// 2^x; about 0 below 2^-126, infinity from 128 on; a NaN stays one.
inline Vec exp2(Vec x) {
#if defined(__AVX512DQ__)
    Vec whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    return _mm512_scalef_ps(power_of_two(_mm512_reduce_ps(x, 8)), whole);
#else
    Vec low = all(-126.0f), high = all(128.0f);
    Vec inside = x > high ? high : (x < low ? low : x);
    Vec shifted = inside + 12582912.0f;  // 1.5 * 2^23: its last bits are the nearest integer
    Vec p = power_of_two(inside - (shifted - 12582912.0f));
    // the large number's own bits vanish in the shift; what is left is the biased exponent
    Bits exponent = ((Bits)shifted + 127) << 23;
    Vec result = p * (Vec)exponent;
    return x < low ? Vec{} : result;
#endif
}
