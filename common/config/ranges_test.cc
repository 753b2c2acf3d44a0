#include "common/config/ranges.h"

#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"
#include "proto/config.pb.h"
#include "proto/options.pb.h"

namespace reckon {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using ::testing::HasSubstr;

void Collect(const Descriptor* type, std::set<const Descriptor*>* seen,
             std::vector<const FieldDescriptor*>* fields) {
  if (!seen->insert(type).second) return;
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->message_type() != nullptr) Collect(field->message_type(), seen, fields);
    if (field->options().HasExtension(range)) fields->push_back(field);
  }
}

// Every field of RunConfig and its submessages that has a range.
std::vector<const FieldDescriptor*> FieldsWithRanges() {
  std::set<const Descriptor*> seen;
  std::vector<const FieldDescriptor*> fields;
  Collect(RunConfig::descriptor(), &seen, &fields);
  return fields;
}

bool IsDouble(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE;
}

absl::Status CheckValue(const FieldDescriptor* field, double value) {
  std::unique_ptr<Message> message(google::protobuf::MessageFactory::generated_factory()
                                       ->GetPrototype(field->containing_type())
                                       ->New());
  if (IsDouble(field)) {
    message->GetReflection()->SetDouble(message.get(), field, value);
  } else {
    message->GetReflection()->SetUInt32(message.get(), field, static_cast<uint32_t>(value));
  }
  return CheckRanges(*message, "x");
}

// The nearest values that the field's type can hold.
double Below(const FieldDescriptor* field, double value) {
  return IsDouble(field) ? std::nextafter(value, -INFINITY) : value - 1;
}
double Above(const FieldDescriptor* field, double value) {
  return IsDouble(field) ? std::nextafter(value, INFINITY) : value + 1;
}

class EveryRange : public ::testing::TestWithParam<const FieldDescriptor*> {};

TEST_P(EveryRange, HoldsItsBoundsAndRefusesWhatIsBelowAndAbove) {
  const FieldDescriptor* field = GetParam();
  const AllowedRange& allowed = field->options().GetExtension(range);
  std::vector<double> good, bad;
  if (allowed.has_min()) good.push_back(allowed.min());
  if (allowed.has_max()) good.push_back(allowed.max());
  if (allowed.has_also()) good.push_back(allowed.also());
  if (allowed.has_above()) good.push_back(Above(field, allowed.above()));
  if (allowed.has_min()) bad.push_back(Below(field, allowed.min()));
  if (allowed.has_max()) bad.push_back(Above(field, allowed.max()));
  if (allowed.has_above()) bad.push_back(allowed.above());
  if (IsDouble(field)) {
    for (double value : {NAN, INFINITY, -INFINITY}) bad.push_back(value);
  }
  for (double value : good) EXPECT_TRUE(CheckValue(field, value).ok()) << value;
  for (double value : bad) {
    if (!IsDouble(field) && value < 0) continue;
    if (allowed.has_also() && value == allowed.also()) continue;
    const absl::Status status = CheckValue(field, value);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << value;
    EXPECT_THAT(std::string(status.message()), HasSubstr("x." + field->name() + " is "));
  }
}

TEST_P(EveryRange, HoldsTheDefault) {
  const FieldDescriptor* field = GetParam();
  const double value =
      IsDouble(field) ? field->default_value_double() : field->default_value_uint32();
  EXPECT_TRUE(InRange(*field, value)) << value << "; allowed: " << DescribeRange(*field);
}

INSTANTIATE_TEST_SUITE_P(All, EveryRange, ::testing::ValuesIn(FieldsWithRanges()),
                         [](const auto& info) {
                           std::string name = info.param->full_name();
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

TEST(CheckRanges, EveryNumberThatIsNotWholeHasARange) {
  std::set<const Descriptor*> seen;
  std::vector<const FieldDescriptor*> fields;
  Collect(RunConfig::descriptor(), &seen, &fields);
  EXPECT_GT(fields.size(), 70u);
  for (const Descriptor* type : seen) {
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      EXPECT_TRUE(!IsDouble(field) || field->options().HasExtension(range)) << field->full_name();
    }
  }
}

TEST(CheckRanges, EvaluationsSampleInTheSameRangesAsStages) {
  for (const char* name : {"temperature", "max_new_tokens"}) {
    const auto* eval = EvalSettings::descriptor()->FindFieldByName(name);
    const auto* stage = SamplingParams::descriptor()->FindFieldByName(name);
    EXPECT_EQ(eval->options().GetExtension(range).max(),
              stage->options().GetExtension(range).max());
  }
}

TEST(CheckRanges, ThePathNamesTheFieldAndTheEntryOfAList) {
  RunConfig config;
  config.add_stage();
  config.add_stage()->mutable_ppo()->mutable_clip()->set_ratio_c(0.5);
  EXPECT_EQ(std::string(CheckRanges(config).message()),
            "stage[1].ppo.clip.ratio_c is 0.5; allowed: 1 to 1000000, or 0");
}

TEST(DescribeRange, SpellsOutEveryForm) {
  auto describe = [](const Descriptor* type, const char* field) {
    return DescribeRange(*type->FindFieldByName(field));
  };
  EXPECT_EQ(describe(SamplingParams::descriptor(), "top_p"), "above 0, at most 1");
  EXPECT_EQ(describe(EvalSettings::descriptor(), "samples"), "at most 4096");
  EXPECT_EQ(describe(EvalSettings::descriptor(), "limit"), "any number");
  EXPECT_EQ(describe(BuiltinProblems::descriptor(), "max_number"), "at least 10");
}

}  // namespace
}  // namespace reckon
