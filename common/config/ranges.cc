#include "common/config/ranges.h"

#include <cmath>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "proto/options.pb.h"

namespace reckon {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Every number of a config is exact as a double or has no range (the seeds).
std::optional<double> Number(const Message& message, const FieldDescriptor* field, int index) {
  const Reflection& r = *message.GetReflection();
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return repeated ? r.GetRepeatedDouble(message, field, index) : r.GetDouble(message, field);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return repeated ? r.GetRepeatedFloat(message, field, index) : r.GetFloat(message, field);
    case FieldDescriptor::CPPTYPE_INT32:
      return repeated ? r.GetRepeatedInt32(message, field, index) : r.GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return repeated ? r.GetRepeatedUInt32(message, field, index) : r.GetUInt32(message, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return repeated ? r.GetRepeatedInt64(message, field, index) : r.GetInt64(message, field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return repeated ? r.GetRepeatedUInt64(message, field, index) : r.GetUInt64(message, field);
    default:
      return std::nullopt;
  }
}

// Whole numbers in full: 10000000 rather than 1e+07.
std::string Exact(double value) {
  return std::fabs(value) < 1e15 && value == std::trunc(value)
             ? absl::StrCat(static_cast<int64_t>(value))
             : absl::StrCat(value);
}

}  // namespace

bool InRange(const FieldDescriptor& field, double value) {
  const AllowedRange& range = field.options().GetExtension(reckon::range);
  if (range.has_also() && value == range.also()) return true;
  return std::isfinite(value) && !(range.has_min() && value < range.min()) &&
         !(range.has_max() && value > range.max()) &&
         !(range.has_above() && value <= range.above()) &&
         !(range.has_below() && value >= range.below());
}

std::string DescribeRange(const FieldDescriptor& field) {
  const AllowedRange& range = field.options().GetExtension(reckon::range);
  std::vector<std::string> parts;
  if (range.has_min() && range.has_max()) {
    parts.push_back(absl::StrCat(Exact(range.min()), " to ", Exact(range.max())));
  } else {
    if (range.has_min()) parts.push_back("at least " + Exact(range.min()));
    if (range.has_above()) parts.push_back("above " + Exact(range.above()));
    if (range.has_max()) parts.push_back("at most " + Exact(range.max()));
    if (range.has_below()) parts.push_back("below " + Exact(range.below()));
  }
  if (range.has_also()) parts.push_back("or " + Exact(range.also()));
  return parts.empty() ? "any number" : absl::StrJoin(parts, ", ");
}

absl::Status CheckRanges(const Message& message, const std::string& prefix) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string path =
        prefix.empty() ? field->name() : absl::StrCat(prefix, ".", field->name());
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      const std::string at = field->is_repeated() ? absl::StrCat(path, "[", i, "]") : path;
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        RETURN_IF_ERROR(CheckRanges(field->is_repeated()
                                        ? reflection.GetRepeatedMessage(message, field, i)
                                        : reflection.GetMessage(message, field),
                                    at));
        continue;
      }
      const std::optional<double> value = Number(message, field, i);
      if (!value.has_value() || InRange(*field, *value)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(at, " is ", Exact(*value), "; allowed: ", DescribeRange(*field)));
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
