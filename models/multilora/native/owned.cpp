// Products in which every slot uses its own small matrix: the halves of adapters.
//
// Tokens stand in one line, those of slot k up to `ends[k]`. A slot's matrix m is [rank, width], each
// row in one piece; the rank may be that of several adapters that read one input.
//
//   times      out[N, rank]    = x[N, width] m^T
//   add_times  onto[N, width] += h[N, rank] m
//   add_outer  m[rank, width] += h[N, rank]^T x[N, width], in fp32
//
// A token's result depends on its slot's values alone, a matrix's on its slot's tokens in order.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "products.h"
#include "threads.h"

namespace {

constexpr long TOKENS = 32;         // that are multiplied while they are in the cache
constexpr long OUTER_TOKENS = 128;  // the same where they are summed over
constexpr long OUTER_COLUMNS = 128;

long up_to(long n, long multiple) { return (n + multiple - 1) / multiple * multiple; }

template <class T>
struct Matrices {  // [slots, rank, width]
    T *at;
    long by_slot, by_row;

    T *of(long slot) const { return at + slot * by_slot; }
};

template <class T>
struct Line {  // rows of tokens
    T *at;
    long stride;

    T *token(long t) const { return at + t * stride; }
};

struct Piece {
    long slot, from, to;
};

std::vector<Piece> pieces(const int64_t *ends, long slots, long most) {
    std::vector<Piece> all;
    for (long k = 0, from = 0; k < slots; from = ends[k++])
        for (long t = from; t < ends[k]; t += most) all.push_back({k, t, std::min(t + most, ends[k])});
    return all;
}

template <class T>
struct Bench {  // a thread's own room
    typedef typename WordsOf<T>::Kind W;
    typedef typename W::Word Word;
    Room<Word> matrix, rows, other_rows;
    Room<float> sums;

    // As rows of words; zero beyond the count and the width.
    static const Word *packed(Room<Word> &to, Line<const T> from, long count, long padded,
                              long width, long words) {
        Word *at = to.of(padded * words);
        pack_rows(W{}, at, words, from.at, from.stride, count, padded, width);
        return at;
    }

    // Two neighbouring rows as one row of words, `columns` of them.
    static const Word *braided(Room<Word> &to, Line<const T> from, long count, long padded,
                               long width, long columns) {
        Word *at = to.of(padded / W::STEP * columns);
        braid_rows(W{}, at, columns, from.at, from.stride, count, padded, width);
        return at;
    }
};

template <class T>
struct Times : Bench<T> {
    typedef Bench<T> B;
    typedef typename B::W W;

    void take(Line<const T> m, long rank, long width) {
        columns = up_to(rank, LANES), words = up_to((width + W::STEP - 1) / W::STEP, LANES);
        auto rows = B::packed(this->rows, m, rank, columns, width, words);
        turned = this->matrix.of(words * columns);
        turn(turned, rows, words, columns, words);
    }

    void unit(Line<const T> x, Piece piece, long rank, long width, Line<T> out) {
        long tokens = piece.to - piece.from, padded = up_to(tokens, ROWS);
        Line<const T> part = {x.token(piece.from), x.stride};
        float *sums = this->sums.of(padded * columns);
        if (tokens == padded && are_words<W>(part.at, part.stride, width)) {
            auto rows = (const typename B::Word *)part.at;
            multiply(sums, {rows, part.stride / W::STEP, 1}, padded, width / W::STEP);
        } else {
            auto rows = B::packed(this->other_rows, part, tokens, padded, width, words);
            multiply(sums, {rows, words, 1}, padded, words);
        }
        for (long t = 0; t < tokens; t++)
            for (long c = 0; c < rank; c += LANES)
                store(out.token(piece.from + t) + c, load(sums + t * columns + c), rank - c);
    }

    void multiply(float *sums, Spread<W> rows, long tokens, long n) {
        product<W>(sums, columns, false, tokens, columns, rows, turned, columns, n);
    }

    long columns, words;
    typename B::Word *turned;
};

template <class T>
struct AddTimes : Bench<T> {
    typedef Bench<T> B;
    typedef typename B::W W;
    static constexpr long ACROSS = COLUMNS * LANES;

    void take(Line<const T> m, long rank, long width) {
        columns = up_to(width, ACROSS), depth = up_to(rank, W::STEP);
        ready = B::braided(this->matrix, m, rank, depth, width, columns);
    }

    void unit(Line<T> onto, Piece piece, Line<const T> h, long rank, long width) {
        long tokens = piece.to - piece.from, padded = up_to(tokens, ROWS), words = depth / W::STEP;
        Line<const T> part = {h.token(piece.from), h.stride};
        auto own = B::packed(this->other_rows, part, tokens, padded, rank, words);
        for (long t = 0; t < tokens; t += ROWS)
            for (long c = 0; c < width; c += ACROSS) {
                Spread<W> rows = {own + t * words, words, 1};
                T *to = onto.token(piece.from + t) + c;
                if (t + ROWS <= tokens && c + ACROSS <= width)
                    tile<W, COLUMNS>(to, onto.stride, true, rows, ready + c, columns, words);
                else
                    edge({to, onto.stride}, std::min<long>(ROWS, tokens - t), width - c, rows, c);
            }
    }

    void edge(Line<T> onto, long tokens, long n, Spread<W> rows, long c) {
        float sums[ROWS * ACROSS];
        tile<W, COLUMNS>(sums, ACROSS, false, rows, ready + c, columns, depth / W::STEP);
        for (long t = 0; t < tokens; t++)
            for (long d = 0; d < ACROSS && d < n; d += LANES) {
                T *to = onto.token(t) + d;
                store(to, load(to, n - d) + load(sums + t * ACROSS + d), n - d);
            }
    }

    long columns, depth;
    const typename B::Word *ready;
};

template <class T>
struct AddOuter : Bench<T> {
    typedef Bench<T> B;
    typedef typename B::W W;

    void unit(Line<float> m, long rank, Line<const T> h, Line<const T> x, long tokens, long width) {
        long ranks = up_to(rank, LANES), columns = up_to(width, LANES);
        float *sums = this->sums.of(ranks * columns);
        std::fill(sums, sums + ranks * columns, 0.0f);
        for (long t = 0; t < tokens; t += OUTER_TOKENS) {
            long count = std::min(OUTER_TOKENS, tokens - t), padded = up_to(count, W::STEP);
            auto by =
                B::braided(this->rows, {h.token(t), h.stride}, count, padded, rank, ranks);
            auto on =
                B::braided(this->other_rows, {x.token(t), x.stride}, count, padded, width, columns);
            product<W>(sums, columns, true, up_to(rank, ROWS), columns, {by, 1, ranks}, on, columns,
                       padded / W::STEP);
        }
        for (long r = 0; r < rank; r++)
            for (long c = 0; c < width; c += LANES) {
                float *to = m.token(r) + c;
                store(to, load(to, width - c) + load(sums + r * columns + c), width - c);
            }
    }
};

// Every piece of the line by the thread that holds its slot's matrix ready.
template <class Way, class T, class Unit>
void for_pieces(int threads, Matrices<const T> m, const int64_t *ends, long slots, long rank,
                long width, Unit unit) {
    auto work = pieces(ends, slots, TOKENS);
    long tokens = slots ? ends[slots - 1] : 0;
#pragma omp parallel num_threads(worth(threads, tokens *width))
    {
        auto &way = own<Way>();
        long ready = -1;
#pragma omp for schedule(static)
        for (size_t i = 0; i < work.size(); i++) {
            if (work[i].slot != ready) way.take({m.of(work[i].slot), m.by_row}, rank, width);
            ready = work[i].slot;
            unit(way, work[i]);
        }
    }
}

template <class T>
void times(int threads, Line<const T> x, Matrices<const T> m, const int64_t *ends, long slots,
           long rank, long width, Line<T> out) {
    for_pieces<Times<T>>(threads, m, ends, slots, rank, width, [&](Times<T> &way, Piece piece) {
        way.unit(x, piece, rank, width, out);
    });
}

template <class T>
void add_times(int threads, Line<T> onto, Line<const T> h, Matrices<const T> m,
               const int64_t *ends, long slots, long rank, long width) {
    for_pieces<AddTimes<T>>(threads, m, ends, slots, rank, width,
                            [&](AddTimes<T> &way, Piece piece) {
                                way.unit(onto, piece, h, rank, width);
                            });
}

template <class T>
void add_outer(int threads, Matrices<float> m, Line<const T> h, Line<const T> x,
               const int64_t *ends, long slots, long rank, long width) {
    long blocks = (width + OUTER_COLUMNS - 1) / OUTER_COLUMNS;
    long tokens = slots ? ends[slots - 1] : 0;
#pragma omp parallel for schedule(dynamic, 1) num_threads(worth(threads, tokens *width))
    for (long i = 0; i < slots * blocks; i++) {
        long k = i / blocks, from = k ? ends[k - 1] : 0, c = i % blocks * OUTER_COLUMNS;
        if (ends[k] == from) continue;
        own<AddOuter<T>>().unit({m.of(k) + c, m.by_row}, rank, {h.token(from), h.stride},
                                {x.token(from) + c, x.stride}, ends[k] - from,
                                std::min(OUTER_COLUMNS, width - c));
    }
}

}  // namespace

#define OWNED(KIND, T)                                                                             \
    extern "C" void times_own_##KIND(int threads, const T *x, long x_stride, const T *m,           \
                                     long by_slot, long by_row, const int64_t *ends, long slots,   \
                                     long rank, long width, T *out, long out_stride) {             \
        times<T>(threads, {x, x_stride}, {m, by_slot, by_row}, ends, slots, rank, width,           \
                 {out, out_stride});                                                               \
    }                                                                                              \
    extern "C" void add_times_own_##KIND(int threads, T *onto, long onto_stride, const T *h,       \
                                         long h_stride, const T *m, long by_slot, long by_row,     \
                                         const int64_t *ends, long slots, long rank, long width) { \
        add_times<T>(threads, {onto, onto_stride}, {h, h_stride}, {m, by_slot, by_row}, ends,      \
                     slots, rank, width);                                                          \
    }                                                                                              \
    extern "C" void add_outer_own_##KIND(int threads, float *m, long by_slot, long by_row,         \
                                         const T *h, long h_stride, const T *x, long x_stride,     \
                                         const int64_t *ends, long slots, long rank, long width) { \
        add_outer<T>(threads, {m, by_slot, by_row}, {h, h_stride}, {x, x_stride}, ends, slots,     \
                     rank, width);                                                                 \
    }
OWNED(fp32, float)
OWNED(bf16, Bf16)
