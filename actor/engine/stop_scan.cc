#include "actor/engine/stop_scan.h"

#include <algorithm>

namespace reckon {

bool StopScan::Append(absl::string_view bytes,
                      const google::protobuf::RepeatedPtrField<std::string>& stops) {
  const size_t old_size = text_.size();
  text_.append(bytes.data(), bytes.size());
  size_t cut = std::string::npos;
  for (const std::string& stop : stops) {
    if (stop.empty()) continue;
    // An earlier call has found any match that ends before the new bytes.
    // So each byte is searched once, and a sample costs time linear in its text.
    const size_t from = old_size >= stop.size() ? old_size - stop.size() + 1 : 0;
    cut = std::min(cut, text_.find(stop, from));
  }
  if (cut == std::string::npos) return false;
  text_.resize(cut);
  return true;
}

}  // namespace reckon
