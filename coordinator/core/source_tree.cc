#include "coordinator/core/source_tree.h"

#include <algorithm>

namespace reckon {
namespace {

constexpr size_t kChildren = 2;
constexpr size_t kVersions = 2;
constexpr size_t kMaxActors = 65536;  // of one version; those beyond ask the publisher

}  // namespace

std::vector<std::string> SourceTree::Enter(uint64_t version, const std::string& address) {
  std::vector<std::string>& actors = actors_[version];
  auto place =
      static_cast<size_t>(std::find(actors.begin(), actors.end(), address) - actors.begin());
  if (place == kMaxActors) return {};
  if (place == actors.size()) actors.push_back(address);
  std::vector<std::string> above;
  while (place >= kChildren) {
    place = place / kChildren - 1;
    above.push_back(actors[place]);
  }
  return above;
}

void SourceTree::Trim() {
  while (actors_.size() > kVersions) actors_.erase(actors_.begin());
}

}  // namespace reckon
