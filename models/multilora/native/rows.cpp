// What happens to one row at a time: norm, rotary embedding, SwiGLU.
#include <cmath>
#include <vector>

#include "threads.h"
#include "vectors.h"

namespace {

template <class T>
void norm(int threads, const T *x, long x_stride, const T *weight, float eps, long rows, long width,
          T *y, float *shrink) {
#pragma omp parallel for schedule(static) num_threads(worth(threads, rows *width))
    for (long r = 0; r < rows; r++) {
        const T *from = x + r * x_stride;
        Vec squares = {};
        for (long d = 0; d < width; d += LANES) {
            Vec v = load(from + d, width - d);
            squares += v * v;
        }
        float by = 1 / sqrtf(sum(squares) / width + eps);
        shrink[r] = by;
        for (long d = 0; d < width; d += LANES) {
            Vec normed = rounded(load(from + d, width - d) * by, x);
            store(y + r * width + d, load(weight + d, width - d) * normed, width - d);
        }
    }
}

template <class T>
void norm_backward(int threads, const T *g, long g_stride, const T *x, long x_stride,
                   const T *weight, const float *shrink, const T *residual, long residual_stride,
                   long rows, long width, T *gx) {
#pragma omp parallel for schedule(static) num_threads(worth(threads, rows *width))
    for (long r = 0; r < rows; r++) {
        auto weighted = [&](long d) {
            return load(g + r * g_stride + d, width - d) * load(weight + d, width - d);
        };
        auto input = [&](long d) { return load(x + r * x_stride + d, width - d); };
        Vec products = {};
        for (long d = 0; d < width; d += LANES) products += weighted(d) * input(d);
        float by = shrink[r], along = sum(products) / width * by * by;
        for (long d = 0; d < width; d += LANES) {
            Vec result = (weighted(d) - input(d) * along) * by;
            if (residual) result += load(residual + r * residual_stride + d, width - d);
            store(gx + r * width + d, result, width - d);
        }
    }
}

constexpr long STRETCHES = 16;  // of rows, however many threads: the sums must not depend on them

// What each of the norm's weights is to blame for.
template <class T>
void norm_weights(int threads, const T *g, long g_stride, const T *x, long x_stride,
                  const float *shrink, long rows, long width, float *gw) {
    long padded = (width + LANES - 1) / LANES * LANES;
    std::vector<float> sums(STRETCHES * padded);
#pragma omp parallel for schedule(static) num_threads(worth(threads, rows *width))
    for (long s = 0; s < STRETCHES; s++)
        for (long r = rows * s / STRETCHES; r < rows * (s + 1) / STRETCHES; r++)
            for (long d = 0; d < width; d += LANES) {
                float *at = sums.data() + s * padded + d;
                Vec product = load(g + r * g_stride + d, width - d) *
                              load(x + r * x_stride + d, width - d);
                store(at, load(at) + product * shrink[r]);
            }
    for (long d = 0; d < width; d++) {
        gw[d] = 0;
        for (long s = 0; s < STRETCHES; s++) gw[d] += sums[s * padded + d];
    }
}

template <class T>
void turn_heads(int threads, T *x, long stride, const T *cos, long cos_stride, const T *sin,
                long sin_stride, long rows, long heads, long width, float sign) {
    long half = width / 2;
#pragma omp parallel for schedule(static) num_threads(worth(threads, rows *heads *width))
    for (long r = 0; r < rows; r++)
        for (long d = 0; d < half; d += LANES) {
            long n = half - d;
            const T *c = cos + r * cos_stride + d, *s = sin + r * sin_stride + d;
            Vec c1 = load(c, n), c2 = load(c + half, n);
            Vec s1 = load(s, n) * sign, s2 = load(s + half, n) * sign;
            for (long h = 0; h < heads; h++) {
                T *at = x + r * stride + h * width + d;
                Vec first = load(at, n), second = load(at + half, n);
                store(at, first * c1 - second * s1, n);
                store(at + half, second * c2 + first * s2, n);
            }
        }
}

inline Vec sigmoid(Vec x) { return 1.0f / (exp2(x * -LOG2E) + 1.0f); }

template <class T>
void gated(int threads, const T *gate, long gate_stride, const T *up, long up_stride, long rows,
           long width, T *y) {
#pragma omp parallel for schedule(static) num_threads(worth(threads, rows *width))
    for (long r = 0; r < rows; r++)
        for (long d = 0; d < width; d += LANES) {
            Vec x = load(gate + r * gate_stride + d, width - d);
            Vec u = load(up + r * up_stride + d, width - d);
            store(y + r * width + d, x * sigmoid(x) * u, width - d);
        }
}

template <class T>
void gated_backward(int threads, const T *g, long g_stride, const T *gate, long gate_stride,
                    const T *up, long up_stride, long rows, long width, T *into_gate,
                    long into_gate_stride, T *into_up, long into_up_stride) {
#pragma omp parallel for schedule(static) num_threads(worth(threads, rows *width))
    for (long r = 0; r < rows; r++)
        for (long d = 0; d < width; d += LANES) {
            long n = width - d;
            Vec grad = load(g + r * g_stride + d, n), x = load(gate + r * gate_stride + d, n);
            Vec u = load(up + r * up_stride + d, n), open = sigmoid(x), silu = x * open;
            store(into_gate + r * into_gate_stride + d, grad * u * (open + silu * (1.0f - open)), n);
            store(into_up + r * into_up_stride + d, grad * silu, n);
        }
}

}  // namespace

#define ROW_KERNELS(KIND, T)                                                                       \
    extern "C" void rms_norm_##KIND(int threads, const T *x, long x_stride, const T *weight,       \
                                    float eps, long rows, long width, T *y, float *shrink) {       \
        norm(threads, x, x_stride, weight, eps, rows, width, y, shrink);                           \
    }                                                                                              \
    extern "C" void rms_norm_backward_##KIND(                                                      \
        int threads, const T *g, long g_stride, const T *x, long x_stride, const T *weight,        \
        const float *shrink, const T *residual, long residual_stride, long rows, long width,       \
        T *gx) {                                                                                   \
        norm_backward(threads, g, g_stride, x, x_stride, weight, shrink, residual,                 \
                      residual_stride, rows, width, gx);                                           \
    }                                                                                              \
    extern "C" void rms_norm_weights_##KIND(int threads, const T *g, long g_stride, const T *x,    \
                                            long x_stride, const float *shrink, long rows,         \
                                            long width, float *gw) {                               \
        norm_weights(threads, g, g_stride, x, x_stride, shrink, rows, width, gw);                  \
    }                                                                                              \
    extern "C" void rotate_##KIND(int threads, T *x, long stride, const T *cos, long cos_stride,   \
                                  const T *sin, long sin_stride, long rows, long heads,            \
                                  long width, float sign) {                                        \
        turn_heads(threads, x, stride, cos, cos_stride, sin, sin_stride, rows, heads, width,       \
                   sign);                                                                          \
    }                                                                                              \
    extern "C" void swiglu_##KIND(int threads, const T *gate, long gate_stride, const T *up,       \
                                  long up_stride, long rows, long width, T *y) {                   \
        gated(threads, gate, gate_stride, up, up_stride, rows, width, y);                          \
    }                                                                                              \
    extern "C" void swiglu_backward_##KIND(                                                        \
        int threads, const T *g, long g_stride, const T *gate, long gate_stride, const T *up,      \
        long up_stride, long rows, long width, T *into_gate, long into_gate_stride, T *into_up,    \
        long into_up_stride) {                                                                     \
        gated_backward(threads, g, g_stride, gate, gate_stride, up, up_stride, rows, width,        \
                       into_gate, into_gate_stride, into_up, into_up_stride);                      \
    }
ROW_KERNELS(fp32, float)
ROW_KERNELS(bf16, Bf16)
