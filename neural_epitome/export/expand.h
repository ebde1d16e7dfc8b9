/* How a kernel comes out of what is stored. C99, no library, no memory of its own:
 * ne_weight(k, i) is weight i of kernel k in row-major order (taps, inputs, outputs),
 * ne_expand(k, out) writes all of them. `taps * inputs * outputs` is their count. */
#include <stdint.h>

typedef struct {
  const void *numbers;     /* float, int8_t, or packed bits, see `bits` */
  const float *factors;    /* one a column of the numbers; unused at 32 bits */
  const uint16_t *start_in, *start_out; /* first cell of a replica; 0: none stored */
  const float *scale;      /* factor of a block of the kernel; 0: all one */
  uint32_t taps, inputs, outputs;       /* the kernel */
  uint32_t cells_in, cells_out;         /* the epitome; a ring has cells_in == 0 */
  uint32_t step_in, step_out;           /* channels of a replica; a ring's block */
  uint32_t begin;          /* where a kernel begins on a ring of cells_out numbers */
  uint8_t bits;            /* 32: float; 8: int8_t; less: packed, first bit highest */
  uint8_t is_blockwise;    /* starts of every block, not of every replica of an axis */
} ne_kernel;

static float ne_number(const ne_kernel *k, uint32_t index, uint32_t column) {
  if (k->bits == 32) return ((const float *)k->numbers)[index];
  if (k->bits == 8) return k->factors[column] * ((const int8_t *)k->numbers)[index];
  {
    const uint8_t *bytes = (const uint8_t *)k->numbers;
    uint32_t first = index * k->bits, value = 0;
    for (uint32_t bit = first; bit < first + k->bits; ++bit)
      value = value << 1 | (bytes[bit >> 3] >> (7 - (bit & 7)) & 1);
    return k->factors[column] * (float)((int32_t)value - (1 << (k->bits - 1)));
  }
}

static float ne_weight(const ne_kernel *k, uint32_t i) {
  if (k->cells_in == 0) {
    float value = ne_number(k, (k->begin + i) % k->cells_out, 0);
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
  float value = ne_number(k, (tap * k->cells_in + row) * k->cells_out + column, column);
  return k->scale ? value * k->scale[block] : value;
}

static void ne_expand(const ne_kernel *k, float *out) {
  uint32_t count = k->taps * k->inputs * k->outputs;
  for (uint32_t i = 0; i < count; ++i) out[i] = ne_weight(k, i);
}
