// Causal attention over packed items, forward and backward, in blocks that stay in the cache.
//
// A unit of work is one item and one head of k and v, with the heads of q that share it. Lanes are
// queries: scores stand as [key, query], so that maxima and sums need no work across lanes.
#include <algorithm>
#include <cmath>
#include <vector>

#include "products.h"
#include "threads.h"

namespace {

constexpr long QUERIES = 2 * LANES;  // of a block: two vectors
constexpr long KEYS = 64;            // of a block
constexpr long STRETCH = 256;        // queries of one unit of the forward

template <class T>
struct Heads {  // [tokens, heads, width], tokens `stride` apart
    T *at;
    long stride;
};

struct Sizes {
    long heads, groups, width;
    float scale;
    long columns() const { return (width + LANES - 1) / LANES * LANES; }
    long shared() const { return heads / groups; }
};

long up_to(long n, long multiple) { return (n + multiple - 1) / multiple * multiple; }

// How a matrix [tokens, width] is held for the products of one unit.
template <class T>
struct Packed {
    typedef typename WordsOf<T>::Kind W;
    typedef typename W::Word Word;
    Room<Word> rows_, braided_, turned_;
    Word *rows;           // [tokens, words]
    const Word *braided;  // [tokens / STEP, columns]
    Word *turned;         // [tokens / QUERIES, n, QUERIES]
    long words, n, columns, tokens;

    void read(const T *from, long stride, long count, long padded, long width, long columns_) {
        columns = columns_, tokens = padded;
        n = (width + W::STEP - 1) / W::STEP;
        words = up_to(columns / W::STEP, LANES);
        rows = rows_.of(tokens * words);
        pack_rows(W{}, rows, words, from, stride, count, tokens, width);
    }
    void braid_rows() {
        braided = braid(W{}, braided_.of(tokens / W::STEP * columns), rows, words, tokens, columns);
    }
    void turn_rows() {
        turned = turned_.of(tokens * n);
        for (long t = 0; t < tokens; t += QUERIES)
            turn(turned + t * n, rows + t * words, words, QUERIES, n);
    }
    Spread<W> spread(long token) const { return {rows + token * words, words, 1}; }
    const Word *braided_from(long token) const { return braided + token / W::STEP * columns; }
};

inline Vec lane_numbers() {
    Vec v;
    for (int i = 0; i < LANES; i++) v[i] = i;
    return v;
}

template <class T>
struct Forward {
    typedef typename WordsOf<T>::Kind W;
    typedef typename W::Word Word;
    Packed<T> q, k, v;
    Room<float> out_;
    alignas(64) float scores[KEYS * QUERIES];
    alignas(64) Word shares[KEYS / W::STEP * QUERIES];

    void unit(Sizes s, Heads<const T> qs, Heads<const T> ks, Heads<const T> vs, long start,
              long group, long from, long to, T *out, float *lse) {
        long columns = s.columns(), padded = up_to(to, KEYS);
        k.read(ks.at + start * ks.stride + group * s.width, ks.stride, to, padded, s.width, columns);
        v.read(vs.at + start * vs.stride + group * s.width, vs.stride, to, padded, s.width, columns);
        v.braid_rows();
        for (long h = group * s.shared(); h < (group + 1) * s.shared(); h++)
            for (long i = from; i < to; i += QUERIES) {
                long token = start + i, count = std::min(QUERIES, to - i);
                q.read(qs.at + token * qs.stride + h * s.width, qs.stride, count, QUERIES, s.width,
                       columns);
                q.turn_rows();
                block(s, i, count, out + (token * s.heads + h) * s.width, lse + token * s.heads + h);
            }
    }

    void block(Sizes s, long first, long count, T *out, float *lse) {
        long columns = s.columns();
        float *total = out_.of(QUERIES * columns);
        float power = s.scale * LOG2E;
        Vec most[2], sums[2];
        for (int c = 0; c < 2; c++) most[c] = all(-INFINITY), sums[c] = Vec{};
        alignas(64) float shrink[QUERIES];
        for (long j = 0; j < first + count; j += KEYS) {
            long keys = std::min(KEYS, first + QUERIES - j);
            product<W>(scores, QUERIES, false, keys, QUERIES, k.spread(j), q.turned, QUERIES, q.n);
            if (j + keys > first) hide(first - j, keys);
            share(keys, power, most, sums, shrink);
            if (j)
                for (long i = 0; i < QUERIES; i++)
                    for (long d = 0; d < columns; d += LANES)
                        store(total + i * columns + d, load(total + i * columns + d) * shrink[i]);
            product<W>(total, columns, j > 0, QUERIES, columns, {shares, 1, QUERIES},
                       v.braided_from(j), columns, keys / W::STEP);
        }
        alignas(64) float sum_of[QUERIES], most_of[QUERIES];
        for (int c = 0; c < 2; c++)
            store(sum_of + c * LANES, sums[c]), store(most_of + c * LANES, most[c]);
        for (long i = 0; i < count; i++) {
            T *row = out + i * s.heads * s.width;
            for (long d = 0; d < s.width; d += LANES)
                store(row + d, load(total + i * columns + d) / sum_of[i],
                      s.width - d);
            lse[i * s.heads] = most_of[i] * s.scale + logf(sum_of[i]);
        }
    }

    // No query sees a later key; the block's first query is key `first` of the block.
    void hide(long first, long keys) {
        for (long j = std::max(first, 0L); j < keys; j++)
            for (int c = 0; c < 2; c++) {
                float *at = scores + j * QUERIES + c * LANES;
                Vec query = lane_numbers() + float(first + c * LANES);
                store(at, query < float(j) ? all(-INFINITY) : load(at));
            }
    }

    // Scores to shares of a sum that is still to be divided by, and what older sums shrink by.
    void share(long keys, float power, Vec *most, Vec *sums, float *shrink) {
        for (int c = 0; c < 2; c++) {
            const float *at = scores + c * LANES;
            Vec top[4] = {most[c], most[c], most[c], most[c]};
            for (long j = 0; j < keys; j += 4)
                for (int r = 0; r < 4; r++) top[r] = larger(load(at + (j + r) * QUERIES), top[r]);
            Vec now = larger(larger(top[0], top[1]), larger(top[2], top[3]));
            Vec less = exp2((most[c] - now) * power), base = now * power;
            Vec sum[2] = {sums[c] * less, Vec{}};
            store(shrink + c * LANES, less);
            most[c] = now;
            for (long j = 0; j < keys; j += 2) {
                Vec a = exp2(load(at + j * QUERIES) * power - base);
                Vec b = exp2(load(at + (j + 1) * QUERIES) * power - base);
                sum[0] += a, sum[1] += b;
                braided(W{}, shares + j / W::STEP * QUERIES + c * LANES, QUERIES, a, b);
            }
            sums[c] = sum[0] + sum[1];
        }
    }
};

template <class T>
struct Backward {
    typedef typename WordsOf<T>::Kind W;
    typedef typename W::Word Word;
    static constexpr long ACROSS = QUERIES / W::STEP;  // words of a row of queries
    Packed<T> q, k, v, g;
    Room<float> sum_q_, sum_k_, sum_v_, lse_, along_;
    float *sum_q, *sum_k, *sum_v, *lse, *along;
    alignas(64) float scores[ROWS * QUERIES], g_shares[ROWS * QUERIES];
    alignas(64) Word shares[KEYS * ACROSS], g_scores[KEYS * ACROSS];
    alignas(64) Word g_braided[KEYS / W::STEP * QUERIES];

    struct Of {  // of one call
        Heads<const T> q, k, v, g;
        const T *out;
        const float *lse;
        Heads<T> gq, gk, gv;
    };

    void unit(Sizes s, const Of &of, long start, long tokens, long group) {
        long columns = s.columns(), padded = up_to(tokens, KEYS);
        auto read = [&](Packed<T> &to, Heads<const T> from, long head) {
            const T *at = from.at + start * from.stride + head * s.width;
            to.read(at, from.stride, tokens, padded, s.width, columns);
        };
        read(k, of.k, group), k.braid_rows();
        read(v, of.v, group);
        sum_k = zeros(sum_k_, padded * columns), sum_v = zeros(sum_v_, padded * columns);
        for (long h = group * s.shared(); h < (group + 1) * s.shared(); h++) {
            read(q, of.q, h), q.braid_rows(), q.turn_rows();
            read(g, of.g, h), g.braid_rows(), g.turn_rows();
            sum_q = zeros(sum_q_, padded * columns);
            row_numbers(s, of, start, tokens, padded, h);
            for (long j = 0; j < tokens; j += KEYS)
                for (long i = j; i < tokens; i += QUERIES) block(s, i, j);
            write(of.gq, sum_q, s, start, tokens, h);
        }
        write(of.gk, sum_k, s, start, tokens, group);
        write(of.gv, sum_v, s, start, tokens, group);
    }

    float *zeros(Room<float> &room, long n) {
        float *at = room.of(n);
        memset(at, 0, n * sizeof(float));
        return at;
    }

    // What belongs to a query: log2 of its sum, and its output along its gradient.
    void row_numbers(Sizes s, const Of &of, long start, long tokens, long padded, long h) {
        lse = zeros(lse_, padded), along = zeros(along_, padded);
        for (long t = 0; t < tokens; t++) {
            long row = (start + t) * s.heads + h;
            const T *out = of.out + row * s.width;
            const T *grad = of.g.at + (start + t) * of.g.stride + h * s.width;
            Vec total = {};
            for (long d = 0; d < s.width; d += LANES)
                total += load(out + d, s.width - d) * load(grad + d, s.width - d);
            lse[t] = of.lse[row] * LOG2E, along[t] = sum(total);
        }
    }

    void block(Sizes s, long i, long j) {
        long columns = s.columns(), keys = std::min(KEYS, i + QUERIES - j);
        for (long r = 0; r < keys; r += ROWS) {
            product<W>(scores, QUERIES, false, ROWS, QUERIES, k.spread(j + r), q.turned + i * q.n,
                       QUERIES, q.n);
            product<W>(g_shares, QUERIES, false, ROWS, QUERIES, v.spread(j + r), g.turned + i * g.n,
                       QUERIES, g.n);
            if (j + r + ROWS > i)
                differentiate<true>(s.scale, i, j + r, r);
            else
                differentiate<false>(s.scale, i, j + r, r);
        }
        product<W>(sum_v + j * columns, columns, true, keys, columns, {shares, ACROSS, 1},
                   g.braided_from(i), columns, ACROSS);
        product<W>(sum_k + j * columns, columns, true, keys, columns, {g_scores, ACROSS, 1},
                   q.braided_from(i), columns, ACROSS);
        product<W>(sum_q + i * columns, columns, true, QUERIES, columns, {g_braided, 1, QUERIES},
                   k.braided_from(j), columns, keys / W::STEP);
    }

    // Scores and gradients of shares, keys `j` on, to shares and gradients of scores, at row `r`.
    template <bool HIDDEN>
    void differentiate(float scale, long i, long j, long r) {
        float power = scale * LOG2E;
        for (int c = 0; c < 2; c++) {
            Vec base = load(lse + i + c * LANES), own = load(along + i + c * LANES);
            Vec ahead = lane_numbers() + float(i + c * LANES - j);
            for (int a = 0; a < ROWS; a += 2) {
                Vec p[2], ds[2];
                for (int b = 0; b < 2; b++) {
                    long at = (a + b) * QUERIES + c * LANES;
                    p[b] = exp2(load(scores + at) * power - base);
                    ds[b] = p[b] * (load(g_shares + at) - own) * scale;
                    if (HIDDEN) {
                        p[b] = ahead < float(a + b) ? Vec{} : p[b];
                        ds[b] = ahead < float(a + b) ? Vec{} : ds[b];
                    }
                }
                long row = (r + a) * ACROSS + c * LANES / W::STEP;
                narrowed(W{}, shares + row, ACROSS, p[0], p[1]);
                narrowed(W{}, g_scores + row, ACROSS, ds[0], ds[1]);
                braided(W{}, g_braided + (r + a) / W::STEP * QUERIES + c * LANES, QUERIES, ds[0],
                        ds[1]);
            }
        }
    }

    void write(Heads<T> to, const float *from, Sizes s, long start, long tokens, long head) {
        for (long t = 0; t < tokens; t++) {
            T *row = to.at + (start + t) * to.stride + head * s.width;
            for (long d = 0; d < s.width; d += LANES)
                store(row + d, load(from + t * s.columns() + d), s.width - d);
        }
    }
};

struct Unit {
    long item, group, from;
};

// The longest first, so that the last to be taken are short.
std::vector<Unit> units(const int32_t *starts, long items, long groups, long stretch) {
    std::vector<Unit> all;
    for (long i = 0; i < items; i++)
        for (long from = 0; from < starts[i + 1] - starts[i]; from += stretch)
            for (long g = 0; g < groups; g++) all.push_back({i, g, from});
    auto cost = [&](const Unit &u) {
        return std::min<long>(starts[u.item + 1] - starts[u.item], u.from + stretch);
    };
    std::stable_sort(all.begin(), all.end(),
                     [&](const Unit &a, const Unit &b) { return cost(a) > cost(b); });
    return all;
}

template <class T>
void forward(int threads, Sizes s, Heads<const T> q, Heads<const T> k, Heads<const T> v,
             const int32_t *starts, long items, T *out, float *lse) {
    auto work = units(starts, items, s.groups, STRETCH);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (size_t i = 0; i < work.size(); i++) {
        auto &on = own<Forward<T>>();
        long start = starts[work[i].item], tokens = starts[work[i].item + 1] - start;
        long to = std::min(work[i].from + STRETCH, tokens);
        on.unit(s, q, k, v, start, work[i].group, work[i].from, to, out, lse);
    }
}

template <class T>
void backward(int threads, Sizes s, const typename Backward<T>::Of &of, const int32_t *starts,
              long items) {
    auto work = units(starts, items, s.groups, INT32_MAX);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (size_t i = 0; i < work.size(); i++) {
        auto &on = own<Backward<T>>();
        long start = starts[work[i].item];
        on.unit(s, of, start, starts[work[i].item + 1] - start, work[i].group);
    }
}

}  // namespace

#define ATTENTION(NAME, T)                                                                         \
    extern "C" void attention_##NAME(int threads, const T *q, long q_stride, const T *k,           \
                                     long k_stride, const T *v, long v_stride,                     \
                                     const int32_t *starts, long items, long heads, long groups,   \
                                     long width, float scale, T *out, float *lse) {                \
        forward<T>(threads, {heads, groups, width, scale}, {q, q_stride}, {k, k_stride},           \
                   {v, v_stride}, starts, items, out, lse);                                        \
    }                                                                                              \
    extern "C" void attention_backward_##NAME(                                                     \
        int threads, const T *g, long g_stride, const T *q, long q_stride, const T *k,             \
        long k_stride, const T *v, long v_stride, const T *out, const float *lse,                  \
        const int32_t *starts, long items, long heads, long groups, long width, float scale,       \
        T *gq, long gq_stride, T *gk, long gk_stride, T *gv, long gv_stride) {                     \
        backward<T>(threads, {heads, groups, width, scale},                                        \
                    {{q, q_stride}, {k, k_stride}, {v, v_stride}, {g, g_stride}, out, lse,         \
                     {gq, gq_stride}, {gk, gk_stride}, {gv, gv_stride}},                           \
                    starts, items);                                                                \
    }
ATTENTION(fp32, float)
ATTENTION(bf16, Bf16)
