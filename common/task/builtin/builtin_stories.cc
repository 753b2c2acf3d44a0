#include "common/task/builtin/builtin_stories.h"

namespace reckon {
namespace {

constexpr Person kPeople[] = {
    {"Alice", true},  {"Anna", true},    {"Bella", true},   {"Carla", true},   {"Clara", true},
    {"Daisy", true},  {"Diana", true},   {"Elena", true},   {"Emma", true},    {"Fatima", true},
    {"Grace", true},  {"Hannah", true},  {"Ines", true},    {"Ivy", true},     {"Jane", true},
    {"Julia", true},  {"Kate", true},    {"Laura", true},   {"Lily", true},    {"Maria", true},
    {"Mei", true},    {"Mia", true},     {"Nina", true},    {"Nora", true},    {"Olga", true},
    {"Priya", true},  {"Rosa", true},    {"Ruth", true},    {"Sarah", true},   {"Sofia", true},
    {"Tina", true},   {"Zoe", true},     {"Adam", false},   {"Ahmed", false},  {"Alex", false},
    {"Ben", false},   {"Carlos", false}, {"Daniel", false}, {"David", false},  {"Eric", false},
    {"Felix", false}, {"Frank", false},  {"George", false}, {"Hugo", false},   {"Ivan", false},
    {"Jack", false},  {"James", false},  {"John", false},   {"Kenji", false},  {"Leo", false},
    {"Liam", false},  {"Lucas", false},  {"Marco", false},  {"Mark", false},   {"Max", false},
    {"Noah", false},  {"Omar", false},   {"Oscar", false},  {"Paul", false},   {"Peter", false},
    {"Ravi", false},  {"Sam", false},    {"Tom", false},    {"Victor", false},
};

// Most stories count some objects, add or remove a few and convert them to another unit. A move
// whose number appears only in its question has to be the last.

Story Shopping() {
  return {
      "shopping",
      {{"notebooks", "notebook"},
       {"mugs", "mug"},
       {"shirts", "shirt"},
       {"candles", "candle"},
       {"toy cars", "toy car"},
       {"plates", "plate"},
       {"caps", "cap"},
       {"puzzles", "puzzle"}},
      {"backpack", "lamp", "kite", "jacket", "basket", "radio", "pillow", "blanket"},
      {Opening(0, Op::kMultiply, {2, 12}, {2, 15}, "{N} buys {a} {o} for ${b} each.",
               "The {o} cost {m} dollars.", "How many dollars does {she} spend?"),
       Opening(0, Op::kMultiply, {2, 9}, {3, 20}, "{N} needs {a} new {o}. Each {s} costs ${b}.",
               "{N} pays {m} dollars for the {o}.", "How many dollars do the {o} cost?")},
      {Move(0, 0, Op::kAdd, {5, 40}, "{She} also buys a {x} for ${n}.",
            "With the {x} that makes {m} dollars.", "How many dollars does {she} spend in all?"),
       Move(0, 1, Op::kSubtract, {2, 12}, "{She} has a coupon for ${n} off.",
            "After the coupon {she} pays {m} dollars.", "How many dollars does {she} pay?"),
       Move(1, 2, Op::kSubtractFrom, {3, 40}, "{She} has ${n} in {her} wallet.",
            "{She} has {m} dollars left.", "How many dollars does {she} have left?"),
       Move(0, 2, Op::kSubtractFrom, {3, 40}, "{She} had ${n} when {she} came to the store.",
            "{She} has {m} dollars left.", "How many dollars does {she} have left?"),
       Move(0, 3, Op::kDivide, {2, 6},
            "{She} and {her} friends split the cost equally among {n} people.",
            "Each person pays {m} dollars.", "How many dollars does each person pay?"),
       Move(2, 4, Op::kDivide, {2, 9}, "{She} spends what is left on juice at ${n} a bottle.",
            "{She} gets {m} bottles of juice.", "How many bottles of juice does {she} get?")}};
}

Story Travel() {
  return {
      "travel",
      {},
      {"the lake", "the museum", "an aunt", "a friend", "the beach", "the market"},
      {Opening(0, Op::kMultiply, {2, 9}, {20, 60}, "{N} drives for {a} hours at {b} miles an hour.",
               "{N} drives {m} miles.", "How many miles does {she} drive?"),
       Opening(0, Op::kMultiply, {2, 8}, {5, 18},
               "{N} rides {her} bike for {a} days, {b} miles each day.", "{N} rides {m} miles.",
               "How many miles does {she} ride?")},
      {Move(0, 0, Op::kAdd, {4, 50}, "Then {she} goes {n} more miles to visit {x}.",
            "After the visit to {x} it is {m} miles.", "How many miles is that in all?"),
       Move(0, 1, Op::kSubtractFrom, {6, 90}, "The whole trip is {n} miles long.",
            "There are {m} miles left.", "How many miles are left?"),
       Move(0, 2, Op::kMultiply, {2, 2}, "{She} comes back the same way.",
            "There and back it is {m} miles.", "How many miles does {she} travel there and back?"),
       Move(0, 3, Op::kDivide, {8, 30},
            "On the way {she} takes a rest every {n} miles, also at the end.",
            "{She} rests {m} times.", "How many times does {she} rest?"),
       Move(1, 4, Op::kDivide, {2, 9}, "{She} wants to do the rest in {n} equal parts.",
            "Each part is {m} miles long.", "How many miles long is each part?"),
       Move(2, 5, Op::kMultiply, {2, 5}, "{She} makes this trip {n} times a month.",
            "In a month that is {m} miles.", "How many miles does {she} travel in a month?"),
       Move(3, 6, Op::kMultiply, {5, 20}, "Every rest takes {n} minutes.",
            "{She} rests {m} minutes.", "How many minutes does {she} rest in all?")}};
}

Story Sharing() {
  return {
      "sharing",
      {{"candies", "candy"},
       {"cookies", "cookie"},
       {"grapes", "grape"},
       {"peanuts", "peanut"},
       {"stickers", "sticker"},
       {"balloons", "balloon"},
       {"crackers", "cracker"}},
      {"sister", "brother", "cousin", "neighbor", "teacher", "uncle"},
      {Opening(0, Op::kMultiply, {2, 12}, {4, 24}, "{N} has {a} bags with {b} {o} in each bag.",
               "{N} has {m} {o}.", "How many {o} does {she} have?"),
       Opening(0, Op::kAdd, {10, 70}, {10, 70}, "{N} has {a} {o} in a jar and {b} {o} in a box.",
               "{N} has {m} {o}.", "How many {o} does {she} have?")},
      {Move(0, 0, Op::kSubtract, {3, 30}, "{She} gives {n} {o} to {her} {x}.",
            "After giving some to {her} {x} {she} has {m} {o}.",
            "How many {o} does {she} have now?"),
       Move(0, 0, Op::kAdd, {3, 30}, "{Her} {x} gives {him} {n} more.",
            "With those from {her} {x} {she} has {m} {o}.", "How many {o} does {she} have now?"),
       Move(0, 1, Op::kDivide, {2, 12}, "{She} shares the {o} equally among {n} friends.",
            "Each friend gets {m} {o}.", "How many {o} does each friend get?"),
       Move(1, 2, Op::kSubtract, {2, 6}, "Each friend eats {n} of them at once.",
            "Each friend has {m} {o} left.", "How many {o} does each friend have left?"),
       Move(1, 2, Op::kAdd, {2, 12}, "Each friend already had {n} {o}.",
            "Each friend now has {m} {o}.", "How many {o} does each friend have now?")}};
}

Story Ages() {
  return {
      "ages",
      {},
      {"father", "mother", "uncle", "aunt", "teacher"},
      {Opening(0, Op::kAdd, {4, 30}, {0, 0}, "{N} is {a} years old.", "", ""),
       Opening(0, Op::kAdd, {3, 12}, {2, 20},
               "{N} was {a} years old when {she} came to live here, and that was {b} years ago.",
               "{N} is {m} years old.", "How old is {N} now?")},
      {Move(0, 1, Op::kMultiply, {2, 3}, "{M} is {times} as old as {N}.", "{M} is {m} years old.",
            "How old is {M}?"),
       Move(0, 1, Op::kAdd, {2, 25}, "{M} is {n} years older than {N}.", "{M} is {m} years old.",
            "How old is {M}?"),
       Move(0, 1, Op::kSubtract, {2, 15}, "{M} is {n} years younger than {N}.",
            "{M} is {m} years old.", "How old is {M}?"),
       Move(1, 2, Op::kAddPrevious, {0, 0}, "", "Together they are {m} years old.",
            "How old are {N} and {M} together?"),
       Move(1, 3, Op::kAdd, {3, 30}, "{Her} {x} is {n} years older than {M}.",
            "{Her} {x} is {m} years old.", "How old is {N}'s {x}?"),
       Move(1, 4, Op::kAdd, {2, 20}, "", "In {n} years {M} will be {m} years old.",
            "How old will {M} be in {n} years?"),
       Move(2, 5, Op::kSubtractFrom, {3, 40}, "Their grandmother is {n} years old.",
            "Their grandmother is {m} years older than both together.",
            "How many years older is she than {N} and {M} together?"),
       Move(3, 4, Op::kAdd, {2, 20}, "", "In {n} years {her} {x} will be {m} years old.",
            "How old will {her} {x} be in {n} years?")}};
}

Story Baking() {
  return {"baking",
          {{"muffins", "muffin"},
           {"rolls", "roll"},
           {"cupcakes", "cupcake"},
           {"cookies", "cookie"},
           {"scones", "scone"},
           {"brownies", "brownie"}},
          {"family", "class", "team", "neighbors"},
          {Opening(0, Op::kMultiply, {2, 10}, {6, 24}, "{N} bakes {a} trays of {b} {o}.",
                   "{N} bakes {m} {o}.", "How many {o} does {she} bake?"),
           Opening(0, Op::kMultiply, {8, 36}, {2, 7}, "{N} bakes {a} {o} a day for {b} days.",
                   "{N} bakes {m} {o}.", "How many {o} does {she} bake?")},
          {Move(0, 0, Op::kSubtract, {3, 20}, "{She} keeps {n} {o} for {her} {x}.",
                "Without those for {her} {x} there are {m} {o}.", "How many {o} are left?"),
           Move(0, 0, Op::kSubtract, {2, 12}, "{She} burns {n} of them.", "{m} {o} are still good.",
                "How many good {o} does {she} have?"),
           Move(0, 1, Op::kDivide, {2, 12}, "{She} packs them in boxes of {n}.",
                "{She} fills {m} boxes.", "How many boxes does {she} fill?"),
           Move(0, 2, Op::kMultiply, {2, 4}, "{She} sells all of them for ${n} each.",
                "{She} takes in {m} dollars.", "How many dollars does {she} take in?"),
           Move(1, 2, Op::kMultiply, {3, 15}, "{She} sells every box for ${n}.",
                "{She} takes in {m} dollars.", "How many dollars does {she} take in?"),
           Move(2, 3, Op::kSubtract, {5, 40}, "Flour and sugar cost {him} ${n}.",
                "After the costs {she} has {m} dollars.", "How many dollars does {she} earn?"),
           Move(3, 4, Op::kDivide, {2, 5}, "{She} splits that equally among {n} helpers.",
                "Each helper gets {m} dollars.", "How many dollars does each helper get?")}};
}

Story Savings() {
  return {"savings",
          {{"bike", "bike"},
           {"guitar", "guitar"},
           {"tablet", "tablet"},
           {"camera", "camera"},
           {"skateboard", "skateboard"},
           {"telescope", "telescope"}},
          {"grandmother", "uncle", "aunt", "father", "sister"},
          {Opening(0, Op::kMultiply, {4, 30}, {3, 15}, "{N} saves ${a} a week for {b} weeks.",
                   "{N} saves {m} dollars.", "How many dollars does {she} have?"),
           Opening(0, Op::kAdd, {20, 90}, {10, 60}, "{N} has ${a} in the bank and ${b} at home.",
                   "{N} has {m} dollars.", "How many dollars does {she} have?")},
          {Move(0, 0, Op::kAdd, {5, 50}, "{Her} {x} gives {him} ${n}.",
                "With the gift of {her} {x} {she} has {m} dollars.",
                "How many dollars does {she} have now?"),
           Move(0, 0, Op::kSubtract, {4, 40}, "{She} spends ${n} on a present for {her} {x}.",
                "After the present for {her} {x} {she} has {m} dollars.",
                "How many dollars does {she} have now?"),
           Move(0, 1, Op::kSubtractFrom, {6, 120}, "{She} wants to buy a {s} that costs ${n}.",
                "{She} still needs {m} dollars.", "How many more dollars does {she} need?"),
           Move(1, 2, Op::kDivide, {2, 12}, "From now on {she} saves ${n} a week.",
                "It takes {m} more weeks.", "In how many weeks can {she} buy the {s}?"),
           Move(0, 3, Op::kMultiply, {2, 2}, "{Her} parents double what {she} has.",
                "Now {she} has {m} dollars.", "How many dollars does {she} have then?")}};
}

Story Books() {
  return {"books",
          {},
          {"Saturday", "Sunday", "Monday", "Friday"},
          {Opening(0, Op::kMultiply, {6, 30}, {2, 12},
                   "{N} reads {a} pages of {her} book a day for {b} days.", "{N} reads {m} pages.",
                   "How many pages does {she} read?"),
           Opening(0, Op::kAdd, {12, 60}, {12, 60},
                   "{N} reads {a} pages of a book in the morning and {b} pages in the evening.",
                   "{N} reads {m} pages.", "How many pages does {she} read?")},
          {Move(0, 0, Op::kAdd, {5, 45}, "On {x} {she} reads {n} more pages.",
                "With the pages of {x} it is {m}.", "How many pages does {she} read in all?"),
           Move(0, 1, Op::kSubtractFrom, {8, 120}, "The book has {n} pages.",
                "There are {m} pages left.", "How many pages are left?"),
           Move(1, 2, Op::kDivide, {2, 10}, "{She} wants to finish it in {n} days.",
                "{She} has to read {m} pages a day.", "How many pages a day must {she} read?"),
           Move(0, 3, Op::kMultiply, {2, 4}, "{M} reads {times} as many pages.",
                "{M} reads {m} pages.", "How many pages does {M} read?"),
           Move(3, 4, Op::kAddPrevious, {0, 0}, "", "Together they read {m} pages.",
                "How many pages do {N} and {M} read together?"),
           Move(2, 5, Op::kMultiply, {2, 3}, "Each page takes {him} {n} minutes.",
                "That takes {m} minutes a day.", "How many minutes a day does that take?")}};
}

Story Garden() {
  return {"garden",
          {{"tomatoes", "tomato"},
           {"peppers", "pepper"},
           {"pumpkins", "pumpkin"},
           {"cucumbers", "cucumber"},
           {"beans", "bean"}},
          {"frost", "rabbits", "a storm"},
          {Opening(0, Op::kMultiply, {2, 10}, {3, 16}, "{N} plants {a} rows of {b} {s} plants.",
                   "{N} has {m} plants.", "How many plants does {she} have?")},
          {Move(0, 0, Op::kSubtract, {2, 15}, "{n} of the plants are lost to {x}.",
                "After {x} there are {m} plants.", "How many plants are left?"),
           Move(0, 0, Op::kAdd, {2, 20}, "{M} gives {him} {n} more plants.",
                "With those from {M} there are {m} plants.", "How many plants are there now?"),
           Move(0, 1, Op::kMultiply, {2, 9}, "Each plant bears {n} {o}.",
                "The plants bear {m} {o}.", "How many {o} does {she} pick?"),
           Move(1, 2, Op::kDivide, {3, 15}, "{She} puts {n} {o} in each basket.",
                "{She} fills {m} baskets.", "How many baskets does {she} fill?"),
           Move(1, 1, Op::kSubtract, {4, 30}, "{She} gives {n} {o} to {her} friends.",
                "{m} {o} are left.", "How many {o} are left?"),
           Move(2, 3, Op::kMultiply, {2, 9}, "{She} sells each basket for ${n}.",
                "{She} earns {m} dollars.", "How many dollars does {she} earn?")}};
}

Story School() {
  return {"school",
          {{"pencils", "pencil"},
           {"maps", "map"},
           {"apples", "apple"},
           {"flags", "flag"},
           {"brushes", "brush"}},
          {"museum", "zoo", "theater", "farm"},
          {Opening(0, Op::kMultiply, {2, 10}, {12, 30},
                   "{N}'s school has {a} classes with {b} students in each.",
                   "There are {m} students.", "How many students are there?"),
           Opening(0, Op::kAdd, {15, 80}, {15, 80}, "{N}'s school has {a} girls and {b} boys.",
                   "There are {m} students.", "How many students are there?")},
          {Move(0, 0, Op::kSubtract, {2, 30}, "{n} students are ill today.",
                "Without the ill students there are {m}.", "How many students are there today?"),
           Move(0, 0, Op::kAdd, {2, 25}, "{n} students join the school.",
                "Now there are {m} students.", "How many students are there now?"),
           Move(0, 1, Op::kDivide, {4, 20}, "They work in groups of {n}.", "There are {m} groups.",
                "How many groups are there?"),
           Move(0, 2, Op::kMultiply, {2, 5}, "Every student gets {n} {o}.",
                "The students get {m} {o}.", "How many {o} do the students get?"),
           Move(1, 2, Op::kMultiply, {3, 12}, "Every group gets {n} {o}.",
                "The groups get {m} {o}.", "How many {o} do the groups get?"),
           Move(2, 3, Op::kSubtractFrom, {4, 50}, "The school has {n} {o}.",
                "{m} {o} are left over.", "How many {o} are left over?")}};
}

Story Farm() {
  return {
      "farm",
      {{"hens", "hen"}, {"ducks", "duck"}, {"geese", "goose"}},
      {"breakfast", "a cake", "pancakes"},
      {Opening(0, Op::kMultiply, {4, 30}, {3, 7}, "{N} has {a} {o}. Each {s} lays {b} eggs a week.",
               "The {o} lay {m} eggs.", "How many eggs does {she} get a week?")},
      {Move(0, 0, Op::kSubtract, {3, 18}, "{She} uses {n} eggs for {x}.",
            "After {x} there are {m} eggs.", "How many eggs are left each week?"),
       Move(0, 1, Op::kDivide, {4, 12}, "{She} packs them in cartons of {n}.",
            "{She} fills {m} cartons.", "How many cartons does {she} fill a week?"),
       Move(0, 2, Op::kMultiply, {2, 6}, "", "In {n} weeks it is {m} eggs.",
            "How many eggs is that in {n} weeks?"),
       Move(1, 3, Op::kMultiply, {2, 8}, "{She} sells a carton for ${n}.",
            "{She} earns {m} dollars a week.", "How many dollars does {she} earn a week?"),
       Move(3, 4, Op::kSubtract, {3, 25}, "Feed costs {him} ${n} a week.",
            "After the feed {m} dollars are left.", "How many dollars are left each week?")}};
}

Story Work() {
  return {
      "work",
      {},
      {"tips", "gifts"},
      {Opening(0, Op::kMultiply, {8, 25}, {2, 10},
               "{N} earns ${a} an hour and works {b} hours a day.", "{N} earns {m} dollars a day.",
               "How many dollars does {she} earn in a day?")},
      {Move(0, 0, Op::kAdd, {4, 40}, "{She} also gets ${n} in {x} each day.",
            "With the {x} it is {m} dollars a day.", "How many dollars does {she} get in a day?"),
       Move(0, 0, Op::kSubtract, {3, 15}, "{She} pays ${n} a day for lunch.",
            "After lunch {she} keeps {m} dollars a day.",
            "How many dollars does {she} keep a day?"),
       Move(0, 1, Op::kMultiply, {2, 6}, "{She} works {n} days a week.",
            "In a week that is {m} dollars.", "How many dollars is that in a week?"),
       Move(1, 2, Op::kSubtract, {10, 60}, "Rent takes ${n} of it every week.",
            "After the rent it is {m} dollars.", "How many dollars are left each week?"),
       Move(1, 3, Op::kDivide, {2, 5}, "{She} puts the money in {n} equal envelopes.",
            "Each envelope holds {m} dollars.", "How many dollars are in each envelope?"),
       Move(2, 3, Op::kDivide, {2, 5}, "{She} puts what is left in {n} equal envelopes.",
            "Each envelope holds {m} dollars.", "How many dollars are in each envelope?")}};
}

Story Collection() {
  return {"collection",
          {{"stamps", "stamp"},
           {"marbles", "marble"},
           {"shells", "shell"},
           {"cards", "card"},
           {"coins", "coin"},
           {"comics", "comic"},
           {"buttons", "button"}},
          {"museum", "school", "club"},
          {Opening(0, Op::kAdd, {6, 60}, {0, 0}, "{N} collects {o} and has {a} of them.", "", "")},
          {Move(0, 1, Op::kMultiply, {2, 6}, "{M} has {times} as many {o} as {N}.",
                "{M} has {m} {o}.", "How many {o} does {M} have?"),
           Move(0, 1, Op::kAdd, {3, 40}, "{M} has {n} more {o} than {N}.", "{M} has {m} {o}.",
                "How many {o} does {M} have?"),
           Move(0, 1, Op::kDivide, {2, 2}, "{M} has half as many {o} as {N}.", "{M} has {m} {o}.",
                "How many {o} does {M} have?"),
           Move(0, 1, Op::kSubtract, {2, 30}, "{M} has {n} fewer {o} than {N}.", "{M} has {m} {o}.",
                "How many {o} does {M} have?"),
           Move(1, 2, Op::kAddPrevious, {0, 0}, "", "Together they have {m} {o}.",
                "How many {o} do they have together?"),
           Move(2, 3, Op::kSubtract, {3, 20}, "Together they give {n} {o} to a {x}.",
                "After the gift they have {m} {o}.", "How many {o} do they have left together?"),
           Move(2, 4, Op::kDivide, {2, 9}, "They put all their {o} together in {n} equal boxes.",
                "There are {m} {o} in each box.", "How many {o} are in each box?"),
           Move(3, 4, Op::kDivide, {2, 9}, "They put the rest in {n} equal boxes.",
                "There are {m} {o} in each box.", "How many {o} are in each box?")}};
}

Story Sports() {
  return {
      "sports",
      {{"basketball", ""}, {"handball", ""}, {"hockey", ""}, {"football", ""}},
      {"a final", "a friendly match", "a night match"},
      {Opening(0, Op::kAdd, {4, 40}, {4, 40},
               "{N} plays {o} and scores {a} points in the first half and {b} in the second half.",
               "{N} scores {m} points.", "How many points does {N} score?"),
       Opening(0, Op::kMultiply, {2, 12}, {3, 20},
               "{N} plays {a} games of {o} and scores {b} points in each.",
               "{N} scores {m} points.", "How many points does {N} score?")},
      {Move(0, 0, Op::kAdd, {3, 30}, "In {x} {she} scores {n} more points.",
            "With {x} {she} has {m} points.", "How many points does {N} have in all?"),
       Move(0, 1, Op::kMultiply, {2, 3}, "{M} scores {times} as many points as {N}.",
            "{M} scores {m} points.", "How many points does {M} score?"),
       Move(0, 1, Op::kAdd, {2, 20}, "{M} scores {n} points more than {N}.",
            "{M} scores {m} points.", "How many points does {M} score?"),
       Move(0, 1, Op::kSubtract, {2, 20}, "{M} scores {n} points less than {N}.",
            "{M} scores {m} points.", "How many points does {M} score?"),
       Move(1, 2, Op::kAddPrevious, {0, 0}, "", "Together they score {m} points.",
            "How many points do they score together?"),
       Move(2, 3, Op::kSubtractFrom, {3, 50}, "The record is {n} points.",
            "They are {m} points below the record.",
            "How many points are they below the record together?")}};
}

Story Water() {
  return {"water",
          {{"barrel", "barrel"}, {"tank", "tank"}, {"pool", "pool"}},
          {"roses", "lawn", "trees"},
          {Opening(0, Op::kMultiply, {3, 20}, {4, 25},
                   "{N} fills a {s} for {a} minutes with {b} liters a minute.",
                   "The {s} gets {m} liters.", "How many liters are in the {s}?")},
          {Move(0, 0, Op::kSubtract, {3, 40}, "{She} takes {n} liters for the {x}.",
                "After watering the {x} it is {m} liters.", "How many liters are left in the {s}?"),
           Move(0, 0, Op::kAdd, {5, 50}, "Rain adds {n} liters.", "With the rain it is {m} liters.",
                "How many liters are in the {s} now?"),
           Move(0, 1, Op::kSubtractFrom, {6, 90}, "The {s} can hold {n} liters.",
                "There is room for {m} more liters.", "How many more liters can the {s} hold?"),
           Move(0, 2, Op::kDivide, {3, 15}, "{She} empties it with a bucket of {n} liters.",
                "That takes {m} buckets.", "How many buckets does that take?"),
           Move(1, 2, Op::kDivide, {2, 12}, "{She} fills it up with a bucket of {n} liters.",
                "That takes {m} buckets.", "How many buckets does that take?"),
           Move(2, 3, Op::kMultiply, {2, 4}, "Each bucket takes {him} {n} minutes.",
                "The buckets take {m} minutes.", "How many minutes do the buckets take?")}};
}

}  // namespace

const std::vector<Story>& BuiltinStories() {
  static const auto* stories = new std::vector<Story>{
      Shopping(), Travel(), Sharing(), Ages(), Baking(),     Savings(), Books(),
      Garden(),   School(), Farm(),    Work(), Collection(), Sports(),  Water()};
  return *stories;
}

absl::Span<const Person> BuiltinPeople() { return kPeople; }

}  // namespace reckon
