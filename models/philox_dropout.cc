#include "models/philox_dropout.h"

#include <ATen/ATen.h>

#include "core/errors.h"
#include "core/philox.h"
#include "kernels/cuda_parts.h"
#include "tensor/float_types.h"

namespace lockstep {
namespace {

struct Use {
  double share;
  int64_t first;
  MapOrder order;
};

at::Tensor masked(const at::Tensor& x, const at::Tensor& numbers, const Use& use) {
  DropoutShape shape{x.size(0), x.size(1), x.size(2) * x.size(3),
                     use.order == MapOrder::kChannelsLast};
  shape.share = static_cast<float>(use.share);
  shape.kept = static_cast<float>(1 / (1 - use.share));
  shape.first = use.first;
  shape.type = float_type_of(x.scalar_type());
  const kernels::CudaParts& kernels = kernels::kernels_for(x);
  at::Tensor y = at::empty_like(x);
  kernels.dropout(shape, numbers.const_data_ptr<int64_t>(), x.const_data_ptr(),
                  y.mutable_data_ptr(), kernels.current_stream());
  return y;
}

class PhiloxDropout : public torch::autograd::Function<PhiloxDropout> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& numbers, double share, int64_t first,
                            bool channels_last) {
    context->save_for_backward({numbers});
    context->saved_data["share"] = share;
    context->saved_data["first"] = first;
    context->saved_data["channels_last"] = channels_last;
    return masked(
        x, numbers,
        {share, first, channels_last ? MapOrder::kChannelsLast : MapOrder::kChannelsFirst});
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list outputs) {
    const bool last = context->saved_data["channels_last"].toBool();
    const MapOrder order = last ? MapOrder::kChannelsLast : MapOrder::kChannelsFirst;
    return {masked(map_in_order(outputs[0], order), context->get_saved_variables()[0],
                   {context->saved_data["share"].toDouble(), context->saved_data["first"].toInt(),
                    order}),
            {},
            {},
            {},
            {}};
  }
};

}  // namespace

at::Tensor dropout_numbers(uint64_t seed, int64_t step, const std::vector<int64_t>& ids) {
  const PhiloxKey key = Stream(seed, Purpose::kDropout).key();
  at::Tensor numbers = at::empty({2 + static_cast<int64_t>(ids.size())}, at::kLong);
  auto* out = numbers.mutable_data_ptr<int64_t>();
  out[0] = static_cast<int64_t>(uint64_t{key[1]} << 32 | key[0]);
  out[1] = step;
  std::copy(ids.begin(), ids.end(), out + 2);
  return numbers;
}

at::Tensor philox_dropout(const at::Tensor& x, const at::Tensor& numbers, double share,
                          int64_t first, MapOrder order) {
  if (numbers.device() != x.device() || numbers.numel() != 2 + x.size(0))
    throw InternalError("dropout got the numbers of another batch");
  return PhiloxDropout::apply(map_in_order(x, order), numbers, share, first,
                              order == MapOrder::kChannelsLast);
}

}  // namespace lockstep
