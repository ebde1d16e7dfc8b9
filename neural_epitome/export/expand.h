/* How a kernel comes out of what is stored. C99, no library, no memory of its own:
 * ne_weight(k, i) is weight i of kernel k in row-major order (taps, inputs, outputs),
 * ne_expand(k, out) writes all of them. `taps * inputs * outputs` is their count. */
#include <stdint.h>

typedef struct {
  const void *numbers;     /* float, int8_t, or packed bits, see `bits` */
  const float *factors;    /* one a column of the numbers; unused at 32 bits */
  const void *right;       /* of a low rank: the right factor, numbers as above */
  const uint16_t *rows;    /* of a low rank: each input's row; from cells_in on, zero */
  const float *right_factors;
  const uint16_t *start_in, *start_out; /* first cell of a replica; 0: none stored */
  const uint8_t *starts;   /* of windows: where each begins on the ring, packed */
  const uint32_t *shape, *window;       /* of windows: the kernel's axes, a window's */
  const float *scale;      /* factor of a block of the kernel; 0: all one */
  uint32_t taps, inputs, outputs;       /* the kernel */
  uint32_t cells_in, cells_out;         /* the epitome; a ring has cells_in == 0 */
  uint32_t step_in, step_out;           /* channels of a replica; a ring's block */
  uint32_t begin;          /* where a kernel begins on a ring of cells_out numbers */
  uint32_t rank;           /* columns of the left factor; 0: no low rank */
  uint8_t bits;            /* 32: float; 8: int8_t; less: packed, first bit highest */
  uint8_t start_bits;      /* of each of `starts`, first bit highest */
  uint8_t axes;            /* of `shape` and `window` */
  uint8_t is_blockwise;    /* starts of every block, not of every replica of an axis */
} ne_kernel;

static uint32_t ne_bits(const uint8_t *bytes, uint32_t index, uint32_t bits) {
  uint32_t first = index * bits, value = 0;
  for (uint32_t bit = first; bit < first + bits; ++bit)
    value = value << 1 | (bytes[bit >> 3] >> (7 - (bit & 7)) & 1);
  return value;
}

static float ne_number(const void *numbers, const float *factors, uint32_t bits,
                       uint32_t index, uint32_t column) {
  if (bits == 32) return ((const float *)numbers)[index];
  if (bits == 8) return factors[column] * ((const int8_t *)numbers)[index];
  uint32_t value = ne_bits((const uint8_t *)numbers, index, bits);
  if (bits == 1) return value ? factors[column] : -factors[column];
  return factors[column] * (float)((int32_t)value - (1 << (bits - 1)));
}

static float ne_of_window(const ne_kernel *k, uint32_t i) {
  uint32_t window = 0, cell = 0, windows = 1, cells = 1, rest = i;
  for (uint32_t axis = k->axes; axis-- > 0;) {
    uint32_t size = k->shape[axis], extent = k->window[axis], at = rest % size;
    rest /= size;
    window += at / extent * windows;
    windows *= (size + extent - 1) / extent;
    cell += at % extent * cells;
    cells *= extent;
  }
  cell = (cell + ne_bits(k->starts, window, k->start_bits)) % k->cells_out;
  float value = ne_number(k->numbers, k->factors, k->bits, cell, 0);
  return k->scale ? value * k->scale[i % k->outputs] : value;
}

static float ne_of_low_rank(const ne_kernel *k, uint32_t i) {
  uint32_t row = i / k->outputs, column = i % k->outputs;
  float sum = 0;
  if (k->rows) {
    uint32_t input = k->rows[row % k->inputs];
    if (input >= k->cells_in) return 0;
    row = row / k->inputs * k->cells_in + input;
  }
  for (uint32_t r = 0; r < k->rank; ++r)
    sum += ne_number(k->numbers, k->factors, k->bits, row * k->rank + r, r) *
           ne_number(k->right, k->right_factors, k->bits, r * k->outputs + column,
                     column);
  return sum;
}

static float ne_weight(const ne_kernel *k, uint32_t i) {
  if (k->rank) return ne_of_low_rank(k, i);
  if (k->starts) return ne_of_window(k, i);
  if (k->cells_in == 0) {
    uint32_t cell = (k->begin + i) % k->cells_out;
    float value = ne_number(k->numbers, k->factors, k->bits, cell, 0);
    return value * k->scale[i / k->step_out];
  }
  uint32_t tap = i / (k->inputs * k->outputs);
  uint32_t row = i / k->outputs % k->inputs, column = i % k->outputs;
  uint32_t block_in = row / k->step_in, block_out = column / k->step_out;
  uint32_t blocks = (k->outputs + k->step_out - 1) / k->step_out;
  uint32_t block = block_in * blocks + block_out;
  if (k->start_in) row += k->start_in[k->is_blockwise ? block : block_in];
  if (k->start_out) column += k->start_out[k->is_blockwise ? block : block_out];
  row %= k->cells_in;
  column %= k->cells_out;
  uint32_t cell = (tap * k->cells_in + row) * k->cells_out + column;
  float value = ne_number(k->numbers, k->factors, k->bits, cell, column);
  return k->scale ? value * k->scale[block] : value;
}

static void ne_expand(const ne_kernel *k, float *out) {
  uint32_t count = k->taps * k->inputs * k->outputs;
  for (uint32_t i = 0; i < count; ++i) out[i] = ne_weight(k, i);
}
