#include "common/model/broadcast/gloo_group.h"

#include <csignal>
#include <string>
#include <utility>

#include "absl/strings/strip.h"

namespace reckon {

c10::intrusive_ptr<c10d::ProcessGroupGloo> MakeGlooGroup(
    const GlooGroupOptions& options, const c10::intrusive_ptr<c10d::Store>& store) {
  static const auto former [[maybe_unused]] = std::signal(SIGPIPE, [](int) {});
  auto gloo = c10d::ProcessGroupGloo::Options::create(options.timeout);
  absl::string_view host = options.host;
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");  // of IPv6
  gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(std::string(host)));
  gloo->threads = options.threads;
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, options.rank, options.world,
                                                     std::move(gloo));
}

}  // namespace reckon
