// Small matrix products out of packed words: a word is one fp32, or two bf16 that are multiplied and
// added at once where the CPU can. One operand is spread over the lanes, the other fills them.
#pragma once
#include <utility>

#include "vectors.h"

struct Singles {
    typedef float Word;
    typedef Vec Words;
    static constexpr int STEP = 1;  // values in a word
    static Words spread(const Word *w) { return all(*w); }
    static Vec dot(Vec to, Words a, Words b) { return to + a * b; }
};

#if defined(__AVX512BF16__)
struct Pairs {
    typedef uint32_t Word;
    typedef Bits Words;
    static constexpr int STEP = 2;
    static Words spread(const Word *w) { return load_as<Word>(w) - Bits{}; }
    static Vec dot(Vec to, Words a, Words b) {
        return _mm512_dpbf16_ps(to, (__m512bh)a, (__m512bh)b);
    }
};
template <class T>
struct WordsOf {
    typedef Singles Kind;
};
template <>
struct WordsOf<Bf16> {
    typedef Pairs Kind;
};
#else
template <class T>
struct WordsOf {
    typedef Singles Kind;
};
#endif

constexpr int ROWS = LANES == 16 ? 8 : 4;  // of a tile that stays in registers with its operands
constexpr int COLUMNS = 2;                 // vectors of it

template <class W>
struct Spread {  // word (row, k) is at[row * by_row + k * by_k]
    const typename W::Word *at;
    long by_row, by_k;
};

template <class W, int C, class To>
inline __attribute__((always_inline)) void tile(
    To *to, long stride, bool add, Spread<W> a, const typename W::Word *b, long by_k, long n) {
    Vec sums[ROWS][C];
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < C; c++) sums[r][c] = add ? load(to + r * stride + c * LANES) : Vec{};
    for (long k = 0; k < n; k++) {
        typename W::Words columns[C];
        for (int c = 0; c < C; c++) columns[c] = load_as<typename W::Words>(b + k * by_k + c * LANES);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            auto row = W::spread(a.at + r * a.by_row + k * a.by_k);
            for (int c = 0; c < C; c++) sums[r][c] = W::dot(sums[r][c], row, columns[c]);
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < C; c++) store(to + r * stride + c * LANES, sums[r][c]);
}

// to[rows, columns] = or += a[rows, n] b[n, columns]; rows are a multiple of ROWS, columns of LANES.
template <class W>
inline void product(float *to, long stride, bool add, long rows, long columns, Spread<W> a,
                    const typename W::Word *b, long by_k, long n) {
    for (long r = 0; r < rows; r += ROWS) {
        Spread<W> part = {a.at + r * a.by_row, a.by_row, a.by_k};
        long c = 0;
        for (; c + COLUMNS * LANES <= columns; c += COLUMNS * LANES)
            tile<W, COLUMNS>(to + r * stride + c, stride, add, part, b + c, by_k, n);
        for (; c < columns; c += LANES)
            tile<W, 1>(to + r * stride + c, stride, add, part, b + c, by_k, n);
    }
}

// Whether rows of values are rows of words as they stand.
template <class W, class T>
inline bool are_words(const T *, long stride, long width) {
    bool same = sizeof(typename W::Word) == W::STEP * sizeof(T);
    return same && stride % W::STEP == 0 && width % W::STEP == 0;
}

// Rows of values as rows of words; what is beyond `tokens` and `width` is zero.
inline void pack_rows(Singles, float *to, long words, const float *from, long stride, long tokens,
                      long padded, long width) {
    memset(to, 0, padded * words * sizeof(float));
    for (long t = 0; t < tokens; t++) memcpy(to + t * words, from + t * stride, width * 4);
}

inline void pack_rows(Singles, float *to, long words, const Bf16 *from, long stride, long tokens,
                      long padded, long width) {
    memset(to, 0, padded * words * sizeof(float));
    for (long t = 0; t < tokens; t++)
        for (long d = 0; d < width; d++)
            to[t * words + d] = same_bits<float>(uint32_t(from[t * stride + d].bits) << 16);
}

// Two neighbouring rows as one row of words: the lanes' operand of a product over tokens.
inline const float *braid(Singles, float *, const float *rows, long, long, long) { return rows; }

// The same from rows of values; what is beyond `tokens` and `width` is zero.
template <class T>
inline void braid_rows(Singles w, float *to, long columns, const T *from, long stride, long tokens,
                       long padded, long width) {
    pack_rows(w, to, columns, from, stride, tokens, padded, width);
}

// Two rows of values as two rows of words.
inline void narrowed(Singles, float *to, long by_row, Vec first, Vec second) {
    store(to, first), store(to + by_row, second);
}
inline void braided(Singles, float *to, long by_row, Vec first, Vec second) {
    store(to, first), store(to + by_row, second);
}

#if defined(__AVX512BF16__)
inline void pack_rows(Pairs, uint32_t *to, long words, const Bf16 *from, long stride, long tokens,
                      long padded, long width) {
    for (long t = 0; t < padded; t++) {
        char *row = (char *)(to + t * words);
        long bytes = t < tokens ? width * 2 : 0;
        memcpy(row, from + t * stride, bytes);
        memset(row + bytes, 0, words * 4 - bytes);
    }
}

inline const uint32_t *braid(Pairs, uint32_t *to, const uint32_t *rows, long words, long tokens,
                             long columns) {
    for (long t = 0; t < tokens; t += 2) {
        auto first = (const uint16_t *)(rows + t * words);
        auto second = (const uint16_t *)(rows + (t + 1) * words);
        for (long d = 0; d < columns; d += LANES) {
            Bits a = __builtin_convertvector(load_as<Halves>(first + d), Bits);
            Bits b = __builtin_convertvector(load_as<Halves>(second + d), Bits);
            store_as(to + t / 2 * columns + d, a | b << 16);
        }
    }
    return to;
}

inline void braid_rows(Pairs, uint32_t *to, long columns, const Bf16 *from, long stride, long tokens,
                       long padded, long width) {
    auto lanes = [&](long t, long d) {
        Halves some = {};
        if (t < tokens && width - d >= LANES) return load_as<Halves>(from + t * stride + d);
        for (long i = 0; t < tokens && i < width - d; i++) some[i] = from[t * stride + d + i].bits;
        return some;
    };
    for (long t = 0; t < padded; t += 2)
        for (long d = 0; d < columns; d += LANES) {
            Bits a = __builtin_convertvector(lanes(t, d), Bits);
            Bits b = __builtin_convertvector(lanes(t + 1, d), Bits);
            store_as(to + t / 2 * columns + d, a | b << 16);
        }
}

inline void narrowed(Pairs, uint32_t *to, long by_row, Vec first, Vec second) {
    auto both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    store_as(to, _mm512_castsi512_si256(both));
    store_as(to + by_row, _mm512_extracti64x4_epi64(both, 1));
}
inline Bits braids() {
    Bits lanes;
    for (int i = 0; i < LANES; i++) lanes[i] = i | (LANES + i) << 16;
    return lanes;
}
inline void braided(Pairs, uint32_t *to, long, Vec first, Vec second) {
    auto both = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    store_as(to, _mm512_permutexvar_epi16((__m512i)braids(), both));
}
#endif

template <int S, int... L>
inline void swap_blocks(Bits &a, Bits &b, std::integer_sequence<int, L...>) {
    Bits low = __builtin_shufflevector(a, b, ((L & S) ? L - S + LANES : L)...);
    b = __builtin_shufflevector(a, b, ((L & S) ? L + LANES : L + S)...);
    a = low;
}

template <int S>
inline void swap_all(Bits (&v)[LANES]) {
    for (int r = 0; r < LANES; r++)
        if (!(r & S)) swap_blocks<S>(v[r], v[r + S], std::make_integer_sequence<int, LANES>{});
    if constexpr (S > 1) swap_all<S / 2>(v);
}

// to[n, columns] = rows[columns, n], in words; `words` is a multiple of LANES, and so are columns.
template <class Word>
inline void turn(Word *to, const Word *rows, long words, long columns, long n) {
    for (long c = 0; c < columns; c += LANES)
        for (long k = 0; k < n; k += LANES) {
            Bits v[LANES];
            for (int r = 0; r < LANES; r++) v[r] = load_as<Bits>(rows + (c + r) * words + k);
            swap_all<LANES / 2>(v);
            for (int r = 0; r < LANES && k + r < n; r++) store_as(to + (k + r) * columns + c, v[r]);
        }
}
