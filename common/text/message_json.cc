#include "common/text/message_json.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver_util.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

namespace pb = google::protobuf;

// MessageToJsonString would print maps in the random order of their hash table.
std::string SerializeInOrder(const pb::Message& message) {
  std::string bytes;
  pb::io::StringOutputStream stream(&bytes);
  pb::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  CHECK(message.SerializeToCodedStream(&out));
  out.Trim();
  return bytes;
}

}  // namespace

std::string MessageToJson(const pb::Message& message) {
  static pb::util::TypeResolver* const resolver = pb::util::NewTypeResolverForDescriptorPool(
      "type.googleapis.com", pb::DescriptorPool::generated_pool());
  pb::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  std::string json;
  const auto status = pb::util::BinaryToJsonString(
      resolver, absl::StrCat("type.googleapis.com/", message.GetDescriptor()->full_name()),
      SerializeInOrder(message), &json, options);
  CHECK(status.ok()) << status.ToString();
  return json;
}

absl::Status MessageFromJson(absl::string_view text, pb::Message* message) {
  // Protobuf's own parser takes more than JSON, and its messages span lines.
  RETURN_IF_ERROR(ParseJson(text).status());
  pb::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  message->Clear();
  const auto status = pb::util::JsonStringToMessage({text.data(), text.size()}, message, options);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(std::string(status.message()));
}

}  // namespace reckon
