use std::collections::BTreeSet;

use prost_reflect::ReflectMessage as _;

use super::*;

/// The descriptors with one change: the field `message.field` loses its options, or changes.
fn altered(message: &str, field: &str, change: impl Fn(&mut DynamicMessage)) -> Vec<u8> {
    use prost_reflect::prost::Message as _;
    let pool = DescriptorPool::decode(wire::DESCRIPTORS).unwrap();
    let set = pool
        .get_message_by_name("google.protobuf.FileDescriptorSet")
        .unwrap();
    let mut set = DynamicMessage::decode(set, wire::DESCRIPTORS).unwrap();
    let named = |m: &DynamicMessage, name: &str| {
        m.get_field_by_name("name").unwrap().as_str() == Some(name)
    };
    let mut changed = 0;
    for file in set
        .get_field_by_name_mut("file")
        .unwrap()
        .as_list_mut()
        .unwrap()
    {
        let file = file.as_message_mut().unwrap();
        for m in file
            .get_field_by_name_mut("message_type")
            .unwrap()
            .as_list_mut()
            .unwrap()
        {
            let m = m.as_message_mut().unwrap();
            if !named(m, message) {
                continue;
            }
            for f in m
                .get_field_by_name_mut("field")
                .unwrap()
                .as_list_mut()
                .unwrap()
            {
                let f = f.as_message_mut().unwrap();
                if named(f, field) {
                    change(f);
                    changed += 1;
                }
            }
        }
    }
    assert_eq!(changed, 1);
    set.encode_to_vec()
}

// CAT-01, CAT-02
#[test]
fn every_leaf_field_of_every_form_has_exactly_one_known_part() {
    let catalogue = Catalogue::current().unwrap();
    assert_eq!(catalogue.forms().len(), Kind::ALL.len());
    for form in catalogue.forms() {
        let paths: BTreeSet<_> = form.fields().iter().map(Field::path).collect();
        assert_eq!(
            paths.len(),
            form.fields().len(),
            "{} repeats a path",
            form.kind()
        );
        assert!(!paths.is_empty());
    }
}

// CAT-02
#[test]
fn a_leaf_field_without_a_part_or_with_an_unknown_one_is_refused() {
    let bytes = altered("CoreIdentity", "given_name", |f| {
        f.clear_field_by_name("options")
    });
    let path = "idn.given_name".to_owned();
    assert_eq!(
        Catalogue::from_descriptors(&bytes).unwrap_err(),
        CatalogueError::NoPart { path }
    );

    let bytes = altered("CoreIdentity", "given_name", |f| {
        // FieldOptions with option 50001 (part), a text of three bytes.
        let options = f
            .get_field_by_name_mut("options")
            .unwrap()
            .as_message_mut()
            .unwrap();
        let extension = options.descriptor().get_extension(50001).unwrap();
        options.set_extension(&extension, Value::String("IDN".to_owned()));
    });
    let path = "idn.given_name".to_owned();
    assert_eq!(
        Catalogue::from_descriptors(&bytes).unwrap_err(),
        CatalogueError::NoPart { path }
    );
}

// CAT-03
#[test]
fn a_list_of_messages_or_a_flag_without_presence_is_refused() {
    let repeated = |f: &mut DynamicMessage| f.set_field_by_name("label", Value::EnumNumber(3));
    let bytes = altered("ConsentAndWishes", "sharing_consent", repeated);
    let path = "cns.sharing_consent".to_owned();
    assert_eq!(
        Catalogue::from_descriptors(&bytes).unwrap_err(),
        CatalogueError::Shape { path }
    );

    let bytes = altered("RiskAndSafety", "immediate_danger", |f| {
        f.clear_field_by_name("proto3_optional");
        f.clear_field_by_name("oneof_index");
    });
    assert!(Catalogue::from_descriptors(&bytes).is_err());
}

// CAT-04
#[test]
fn a_category_has_one_field_number_in_every_form_and_one_form_holds_every_part() {
    let catalogue = Catalogue::current().unwrap();
    let nrm = catalogue.form(Kind::ReferralNrm).unwrap();
    for form in catalogue.forms() {
        for step in form.fields().iter().filter_map(|f| f.steps().first()) {
            if let Some(same) = nrm.message().get_field_by_name(step.name()) {
                assert_eq!(same.number(), step.number());
            }
        }
    }
    // `OFF.sign` has no field: only codes tell of it.
    let mut parts: BTreeSet<_> = nrm.fields().iter().map(Field::part).collect();
    assert!(parts.insert(Part::OffSign));
    assert_eq!(parts, Part::ALL.iter().copied().collect());
}

// CAT-05
#[test]
fn the_digest_changes_only_with_the_listing() {
    let catalogue = Catalogue::current().unwrap();
    assert_eq!(
        catalogue.digest(),
        Digest::of(catalogue.listing().as_bytes())
    );
    assert_eq!(
        catalogue.digest().to_string(),
        "12b474ca57390041cb980204cf0b6c7bdb7c08d0d0a66a75e165d60c6b17d5ba",
        "the catalogue changed: if that is meant, put the new digest here and say so in CHANGELOG.md"
    );
    let moved = altered("CoreIdentity", "given_name", |f| {
        let options = f
            .get_field_by_name_mut("options")
            .unwrap()
            .as_message_mut()
            .unwrap();
        let extension = options.descriptor().get_extension(50001).unwrap();
        options.set_extension(&extension, Value::String("AGE".to_owned()));
    });
    assert_ne!(
        Catalogue::from_descriptors(&moved).unwrap().digest(),
        catalogue.digest()
    );
}

#[test]
fn a_label_reads_as_words() {
    let catalogue = Catalogue::current().unwrap();
    let label = |kind, path| catalogue.form(kind).unwrap().field(path).unwrap().label();
    assert_eq!(
        label(Kind::ReferralNrm, "idn.given_name"),
        "Core identity: given name"
    );
    assert_eq!(label(Kind::Reply, "note"), "Note");
}

// CAT-02: the marks survive only because every leaf of the proto is reached by some form.
#[test]
fn every_field_with_a_part_is_reached_by_a_form() {
    let pool = DescriptorPool::decode(wire::DESCRIPTORS).unwrap();
    let reached: BTreeSet<String> = Catalogue::current()
        .unwrap()
        .forms()
        .iter()
        .flat_map(|f| f.fields().iter().filter_map(|f| f.steps().last()))
        .map(|d| d.full_name().to_owned())
        .collect();
    for message in pool.all_messages() {
        for field in message
            .fields()
            .filter(|f| Marks::of(&pool, f).part.is_some())
        {
            assert!(
                reached.contains(field.full_name()),
                "{} is in no form",
                field.full_name()
            );
        }
    }
}
