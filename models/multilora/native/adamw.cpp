// AdamW over one flat row per slot, and the copy of the values that products are computed with.
//
// Rows are cut into pieces of a size of their own, whatever the number of threads, so that sums are
// added in the same order by any.
#include <algorithm>
#include <cmath>
#include <vector>

#include "vectors.h"

namespace {

constexpr long PIECE = 4096;          // values; those of all buffers together stay in the cache
constexpr long AT_A_TIME = 1L << 20;  // values between reading gradients for the norm and again

long pieces(long columns) { return (columns + PIECE - 1) / PIECE; }

double sum_of_squares(const float *x, long n) {
    Vec sums[4] = {};
    for (long i = 0; i < n; i += 4 * LANES)
        for (int c = 0; c < 4; c++)
            if (i + c * LANES < n) {
                Vec v = load(x + i + c * LANES, n - i - c * LANES);
                sums[c] += v * v;
            }
    return double(sum(sums[0])) + sum(sums[1]) + sum(sums[2]) + sum(sums[3]);
}

struct Betas {
    double first, second;
};

struct Change {  // of one row in one step
    float shrink, toward_first, toward_second, over_bias1, over_bias2, eps, keep, rate;

    Change(Betas betas, float norm, float clip, float count, float rate_, float decay, float eps_)
        : shrink(std::min(clip / (norm + 1e-6f), 1.0f)),
          toward_first(1 - betas.first),
          toward_second(1 - betas.second),
          over_bias1(-1 / expm1(count * log(betas.first))),  // 1 / (1 - beta^count)
          over_bias2(-1 / expm1(count * log(betas.second))),
          eps(eps_),
          keep(1 - rate_ * decay),
          rate(rate_) {}

    void apply(float *value, const float *grad, float *first, float *second, long n) const {
        for (long i = 0; i < n; i += LANES) {
            Vec g = load(grad + i, n - i) * shrink;
            Vec m = load(first + i, n - i), v = load(second + i, n - i);
            m += (g - m) * toward_first, v += (g * g - v) * toward_second;
            Vec change = m * over_bias1 / (root(v * over_bias2) + eps);
            store(value + i, load(value + i, n - i) * keep - change * rate, n - i);
            store(first + i, m, n - i), store(second + i, v, n - i);
        }
    }
};

template <class T>
void cast(const float *from, T *to, long n, float scale) {
    for (long i = 0; i < n; i += LANES) store(to + i, load(from + i, n - i) * scale, n - i);
}

template <class T>
struct Work {  // [rows, columns], times `scale` of its row from column `scaled_from` on
    T *at;
    long columns, scaled_from;
    const float *scale;

    void write(const float *values, long row, long from, long to) const {
        long split = std::min(std::max(scaled_from, from), to);
        const float *row_values = values + row * columns;
        T *row_work = at + row * columns;
        cast(row_values + from, row_work + from, split - from, 1);
        cast(row_values + split, row_work + split, to - split, scale[row]);
    }
};

template <class Piece>
void for_pieces(long rows, long columns, Piece piece) {  // inside a parallel region
    long many = pieces(columns);
#pragma omp for schedule(static)
    for (long i = 0; i < rows * many; i++) {
        long from = i % many * PIECE;
        piece(i / many, from, std::min(from + PIECE, columns), i);
    }
}

struct Rows {
    float *values, *grads, *first, *second;
    long many, columns;
    const float *rate, *decay, *clip;
    float *count;
    const bool *moving;
    bool *moved;
};

template <class T>
void step(int threads, Rows x, Betas betas, float eps, Work<T> work) {
    long columns = x.columns, together = std::max(1L, AT_A_TIME / std::max(1L, columns));
    std::vector<double> squares(together * pieces(columns));
    std::vector<Change> changes;
#pragma omp parallel num_threads(threads)
    for (long start = 0; start < x.many; start += together) {
        long rows = std::min(together, x.many - start);
        for_pieces(rows, columns, [&](long row, long from, long to, long i) {
            squares[i] = sum_of_squares(x.grads + (start + row) * columns + from, to - from);
        });
#pragma omp single
        {
            changes.clear();
            for (long r = 0; r < rows; r++) {
                double sum = 0;
                for (long i = 0; i < pieces(columns); i++) sum += squares[r * pieces(columns) + i];
                float norm = sqrt(sum);
                long k = start + r;
                x.moved[k] = x.moving[k] && std::isfinite(norm);
                x.count[k] += x.moved[k];
                changes.emplace_back(betas, norm, x.clip[k], x.count[k], x.rate[k], x.decay[k],
                                     eps);
            }
        }
        for_pieces(rows, columns, [&](long row, long from, long to, long) {
            long at = (start + row) * columns + from;
            if (x.moved[start + row])
                changes[row].apply(x.values + at, x.grads + at, x.first + at, x.second + at,
                                   to - from);
            work.write(x.values, start + row, from, to);
            memset(x.grads + at, 0, (to - from) * sizeof(float));
        });
    }
}

template <class T>
void cast_all(int threads, const float *values, long rows, Work<T> work) {
#pragma omp parallel num_threads(threads)
    for_pieces(rows, work.columns,
               [&](long row, long from, long to, long) { work.write(values, row, from, to); });
}

}  // namespace

#define ADAMW(KIND, T)                                                                             \
    extern "C" void adamw_rows_##KIND(                                                             \
        int threads, float *values, float *grads, float *first, float *second, long rows,          \
        long columns, const float *rate, const float *decay, const float *clip, float *count,      \
        const bool *moving, bool *moved, double beta1, double beta2, float eps, T *work,           \
        long scaled_from, const float *scale) {                                                    \
        step<T>(threads,                                                                           \
                {values, grads, first, second, rows, columns, rate, decay, clip, count, moving,    \
                 moved},                                                                           \
                {beta1, beta2}, eps, {work, columns, scaled_from, scale});                         \
    }                                                                                              \
    extern "C" void cast_rows_##KIND(int threads, const float *values, long rows, long columns,    \
                                     T *work, long scaled_from, const float *scale) {              \
        cast_all<T>(threads, values, rows, {work, columns, scaled_from, scale});                   \
    }
ADAMW(fp32, float)
ADAMW(bf16, Bf16)
