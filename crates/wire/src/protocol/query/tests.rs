use super::form::Node;
use super::{decode, encode};
use crate::model::build::{blob, boolean, double, int, list, long, m, map, object, op, string, timestamp};
use crate::model::{Kind, Member, Operation, Protocol, Service, Shape, ShapeId, Size, TimestampFormat};
use crate::testing::{document, form, head};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Number, Value, json};

/// A service with every kind that awsQuery can carry.
static SERVICE: Service = Service {
    name: "test",
    protocol: Protocol::AwsQuery,
    json_version: None,
    target_prefix: None,
    xml_namespace: Some("https://example.com/"),
    api_version: "2026-01-01",
    signing_name: "test",
    endpoint_prefix: "test",
    operations: &[],
    shapes: &SHAPES,
};

static SHAPES: [Shape; 15] = [
    object(
        "Everything",
        &[
            m("Text", 1),
            m("Whole", 2),
            m("Long", 3),
            m("Real", 4),
            m("Flag", 5),
            RENAMED,
            m("Bytes", 7),
            m("List", 8),
            m("FlatList", 9),
            m("NamedList", 10),
            m("Map", 11),
            m("FlatMap", 12),
            m("Nested", 13),
            m("Structures", 14),
        ],
    ),
    string("Text", -1, -1),
    int("Whole", None, None),
    long("Long", None, None),
    double("Real", None, None),
    boolean("Flag"),
    timestamp("Moment"),
    blob("Bytes", -1, -1),
    list("List", 1, -1, -1),
    Shape {
        name: "FlatList",
        kind: Kind::List { member: ShapeId(2), location: None, flattened: true, size: ANY },
        sensitive: false,
    },
    Shape {
        name: "NamedList",
        kind: Kind::List { member: ShapeId(1), location: Some("item"), flattened: false, size: ANY },
        sensitive: false,
    },
    map("Map", 1, 2, -1, -1),
    Shape {
        name: "FlatMap",
        kind: Kind::Map { key: ShapeId(1), value: ShapeId(8), flattened: true, size: ANY },
        sensitive: false,
    },
    object("Nested", &[m("Text", 1), m("List", 8)]),
    list("Structures", 13, -1, -1),
];

const ANY: Size = Size { min: None, max: None };
const RENAMED: Member = Member { location: Some("At"), ..m("Moment", 6) };
static ECHO: Operation = op("Echo", 0, 0, &[]).wrapped("EchoResult");

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The form of a document, written as a client would write it.
fn write_form(shape: ShapeId, name: &str, value: &Value, out: &mut Vec<String>) {
    let below = |part: String| if name.is_empty() { part } else { format!("{name}.{part}") };
    match (&SERVICE.shape(shape).kind, value) {
        (Kind::Structure(structure), Value::Object(_)) => {
            for member in structure.members {
                if let Some(value) = value.get(member.name) {
                    write_form(member.shape, &below(member.wire_name().to_owned()), value, out);
                }
            }
        }
        (Kind::List { member, location, flattened, .. }, Value::Array(entries)) => {
            let level = if *flattened { String::new() } else { format!("{}.", location.unwrap_or("member")) };
            for (at, entry) in entries.iter().enumerate() {
                write_form(*member, &below(format!("{level}{}", at + 1)), entry, out);
            }
        }
        (Kind::Map { key, value, flattened, .. }, Value::Object(entries)) => {
            let level = if *flattened { "" } else { "entry." };
            for (at, (name, entry)) in entries.iter().enumerate() {
                write_form(*key, &below(format!("{level}{}.key", at + 1)), &json!(name), out);
                write_form(*value, &below(format!("{level}{}.value", at + 1)), entry, out);
            }
        }
        (_, Value::String(text)) => out.push(format!("{name}={}", encoded(text))),
        (_, other) => out.push(format!("{name}={}", encoded(&other.to_string()))),
    }
}

/// An XML element as the tests read it.
#[derive(Default)]
struct Element {
    name: String,
    text: String,
    inside: Vec<Element>,
}

fn read_xml(xml: &str) -> Element {
    let mut reader = Reader::from_str(xml);
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().expect("XML");
        let top = open.last_mut().expect("the root");
        match event {
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                open.push(Element { name, ..Element::default() });
            }
            Event::End(_) => {
                let closed = open.pop().expect("an open element");
                open.last_mut().expect("a parent").inside.push(closed);
            }
            Event::Text(text) => top.text += &*text,
            Event::GeneralRef(reference) => {
                let entity = format!("&{};", &*reference);
                top.text += &quick_xml::escape::unescape(&entity).expect("an entity");
            }
            Event::Eof => return open.pop().and_then(|mut root| root.inside.pop()).expect("an element"),
            _ => {}
        }
    }
}

impl Element {
    fn child(&self, name: &str) -> Option<&Element> {
        self.inside.iter().find(|child| child.name == name)
    }

    /// The document that a client reads from the members' elements.
    fn structure(&self, shape: ShapeId) -> Value {
        let members = SERVICE.shape(shape).members().iter().filter_map(|member| {
            let name = member.wire_name();
            let elements: Vec<&Element> = self.inside.iter().filter(|child| child.name == name).collect();
            let value = read_value(member.shape, &elements)?;
            Some((member.name.to_owned(), value))
        });
        Value::Object(members.collect::<Map<_, _>>())
    }

    fn pair(&self, key: ShapeId, value: ShapeId) -> (String, Value) {
        let read = |name, shape| read_value(shape, &[self.child(name).expect("a half")]).expect("a value");
        (read("key", key).as_str().expect("a text").to_owned(), read("value", value))
    }
}

fn read_value(shape: ShapeId, elements: &[&Element]) -> Option<Value> {
    let first = elements.first()?;
    let inner = |name: &str| first.inside.iter().filter(|child| child.name == name).collect::<Vec<_>>();
    let number = |text: &str| text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number);
    match &SERVICE.shape(shape).kind {
        Kind::Structure(_) => Some(first.structure(shape)),
        Kind::List { member, location, flattened, .. } => {
            let entries = if *flattened { elements.to_vec() } else { inner(location.unwrap_or("member")) };
            entries.into_iter().map(|entry| read_value(*member, &[entry])).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Kind::Map { key, value, flattened, .. } => {
            let entries = if *flattened { elements.to_vec() } else { inner("entry") };
            Some(Value::Object(entries.into_iter().map(|entry| entry.pair(*key, *value)).collect()))
        }
        Kind::Integer(_) | Kind::Long(_) => first.text.parse::<i64>().ok().map(Value::from),
        Kind::Double(_) | Kind::Float(_) => number(&first.text),
        Kind::Boolean => first.text.parse().ok().map(Value::Bool),
        Kind::Timestamp(_) => {
            base::Timestamp::parse_iso8601(&first.text).map(|at| Value::from(at.as_millis() as f64 / 1000.0))
        }
        _ => Some(Value::from(first.text.as_str())),
    }
}

proptest! {
    #[test]
    fn forms_survive_a_round_trip(written in document(&SERVICE, ShapeId(0))) {
        let mut pairs = vec!["Action=Echo".to_owned()];
        write_form(ShapeId(0), "", &written, &mut pairs);
        let read = decode(&SERVICE, &ECHO, &form(), pairs.join("&").as_bytes()).expect("a form");
        prop_assert_eq!(&read, &written);
        let in_query = head("GET", &format!("/?{}", pairs.join("&")), &[]);
        prop_assert_eq!(&decode(&SERVICE, &ECHO, &in_query, b"").expect("a form"), &written);
    }

    #[test]
    fn answers_survive_a_round_trip(written in document(&SERVICE, ShapeId(0))) {
        let answer = encode(&SERVICE, &ECHO, &written, "r-1");
        let root = read_xml(std::str::from_utf8(&answer.body).expect("UTF-8"));
        prop_assert_eq!(root.name.as_str(), "EchoResponse");
        prop_assert_eq!(root.child("EchoResult").expect("a result").structure(ShapeId(0)), written);
        let id = root.child("ResponseMetadata").and_then(|metadata| metadata.child("RequestId"));
        prop_assert_eq!(id.expect("an id").text.as_str(), "r-1");
    }

    #[test]
    fn no_form_breaks_the_reader(body in "[A-Za-z0-9.&=%+]{0,200}") {
        let _ = decode(&SERVICE, &ECHO, &form(), body.as_bytes());
    }
}

#[test]
fn lists_keep_the_order_of_their_numbers_and_bad_values_stay_texts() {
    let read = |body: &str| decode(&SERVICE, &ECHO, &form(), body.as_bytes()).expect("a form");
    let body = "List.member.10=c&List.member.2=b&List.member.1=a+%2B&List.member.x=no";
    assert_eq!(read(body), json!({"List": ["a +", "b", "c"]}));
    assert_eq!(
        read("Whole=ten&Flag=yes&At=noon&List="),
        json!({"Whole": "ten", "Flag": "yes", "Moment": "noon", "List": []})
    );
    assert_eq!(read("At=2015-08-30T12%3A36%3A00Z"), json!({"Moment": 1_440_938_160.0}));
    assert_eq!(read("At=1440938160.5"), json!({"Moment": 1_440_938_160.5}));
}

#[test]
fn names_of_too_many_parts_are_refused() {
    let deep = format!("{}=1", ["a"; 40].join("."));
    let error = Node::parse(&form(), deep.as_bytes()).expect_err("too deep");
    assert_eq!(error.code, "MalformedInput");
}

#[test]
fn what_xml_cannot_carry_is_replaced() {
    let answer = encode(&SERVICE, &ECHO, &json!({"Text": "a\u{0}b\r<"}), "r");
    let text = String::from_utf8(answer.body).expect("UTF-8");
    assert!(text.contains("<Text>a\u{FFFD}b&#13;&lt;</Text>"), "{text}");
}

#[test]
fn timestamps_follow_their_stated_format() {
    let secs = Some(1_440_938_160.25);
    for (format, expected) in [
        (None, "2015-08-30T12:36:00.250Z"),
        (Some(TimestampFormat::Iso8601), "2015-08-30T12:36:00.250Z"),
        (Some(TimestampFormat::EpochSeconds), "1440938160.25"),
        (Some(TimestampFormat::Rfc822), "Sun, 30 Aug 2015 12:36:00 GMT"),
    ] {
        assert_eq!(super::xml::timestamp(format, secs), expected);
    }
}
