use super::{IMAGES_MAX, ImageId, PARTS_MAX, Pushed, TAGS_MAX, delete, find, pull_is_recorded, push, repository};
use base::Timestamp;
use state::{IMAGE_TAGS, IMAGES, Image, ImageTag, LAYERS, Layer, REPOSITORIES, Repository, TagMutability};
use store::{MemoryEngine, Store, TransactError, Tx, View};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn names() -> (String, String, String) {
    ("000000000000".to_owned(), "us-east-1".to_owned(), "web".to_owned())
}

fn web() -> Repository {
    let (account, region, name) = names();
    Repository {
        account,
        region,
        name,
        created_at: NOW,
        tags: state::Tags::new(),
        mutability: state::TagMutability::default(),
    }
}

fn image(digest: &str, children: &[&str]) -> Image {
    let (account, region, repository) = names();
    Image {
        account,
        region,
        repository,
        digest: digest.to_owned(),
        media_type: "m".to_owned(),
        artifact_type: None,
        subject: None,
        size: digest.len() as u64,
        manifest_size: 1,
        pushed_at: NOW,
        last_pulled_at: None,
        children: children.iter().map(ToString::to_string).collect(),
        blobs: Vec::new(),
    }
}

fn put(tx: &mut Tx, line: &str) {
    let (account, region, repository) = names();
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["layer", digest] => {
            let digest = digest.to_owned();
            tx.put(LAYERS, Layer { account, region, repository, digest, size: 1, uploaded_at: NOW });
        }
        ["immutable", ref exclusions @ ..] => {
            let exclusions = exclusions.iter().map(ToString::to_string).collect();
            tx.put(REPOSITORIES, Repository { mutability: TagMutability { immutable: true, exclusions }, ..web() });
        }
        ["image", digest, ref children @ ..] => tx.put(IMAGES, image(digest, children)),
        ["tag", tag, digest] => {
            let (tag, digest) = (tag.to_owned(), digest.to_owned());
            tx.put(IMAGE_TAGS, ImageTag { account, region, repository, tag, digest, tagged_at: NOW });
        }
        _ => panic!("{line}"),
    }
}

/// A view of repository `web` with a row for each line: `immutable EXCLUSION…`, `layer D`, `image D CHILD…`, `tag T D`.
fn world(lines: &[String]) -> View {
    let store = Store::open(state::schema(), MemoryEngine::default()).expect("a store");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for lines in lines.chunks(100) {
        let lines = lines.to_vec();
        let put_all = move |tx: &mut Tx| {
            tx.put(REPOSITORIES, web());
            lines.iter().for_each(|line| put(tx, line));
            Ok::<_, std::convert::Infallible>(())
        };
        let outcome: Result<_, TransactError<_>> = runtime.block_on(store.transact(put_all));
        outcome.expect("rows");
    }
    store.view()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn sizes_are_as_stated() {
    let view = world(&lines("layer a\nlayer b\nimage i"));
    let check = |pushed: Pushed, expect: &str| {
        let refused = push(&view, &web(), pushed, NOW).err().map(|refusal| refusal.to_string()).unwrap_or_default();
        assert!(refused.ends_with(expect) && refused.is_empty() == expect.is_empty(), "{refused}");
    };
    let stated = |all: &[(&str, u64)]| all.iter().map(|(digest, size)| (digest.to_string(), *size)).collect();
    let of = |sizes: &[(&str, u64)]| Pushed {
        digest: "m".to_owned(),
        blobs: sizes.iter().map(|(digest, _)| digest.to_string()).collect(),
        stated: stated(sizes),
        ..Pushed::default()
    };
    check(of(&[("a", 1), ("b", 1)]), "");
    check(of(&[("a", 1), ("b", 5)]), "'size of b is 1 bytes, not 5'");
    check(of(&[("a", 1), ("a", 2)]), "'size of a is 1 bytes, not 2'");
    let index = |size| Pushed { children: vec!["i".to_owned()], blobs: Vec::new(), ..of(&[("i", size)]) };
    check(index(1), "");
    check(index(0), "'size of i is 1 bytes, not 0'");
}

/// `push` is `digest blob… / child… / tag`; the answer is what is put, or the refusal.
fn check_push(text: &str, pushed: &str, expect: &str) {
    let view = world(&lines(text));
    let parts: Vec<Vec<String>> =
        pushed.split('/').map(|part| part.split_whitespace().map(str::to_owned).collect()).collect();
    let pushed = Pushed {
        digest: parts[0][0].clone(),
        blobs: parts[0][1..].to_vec(),
        children: parts[1].clone(),
        tag: parts[2].first().cloned(),
        content_bytes: 7,
        ..Pushed::default()
    };
    let (account, region, name) = names();
    let web = repository(&view, &account, &region, &name).expect("a repository");
    let got = match push(&view, web, pushed, NOW) {
        Err(refusal) => refusal.to_string(),
        Ok(push) if push.is_repeat() => "repeat".to_owned(),
        Ok(push) => {
            let image = push.image.map(|image| format!("image {} of {}", image.digest, image.size));
            let tag = push.tag.map(|tag| format!("tag {} {}", tag.tag, tag.digest));
            image.into_iter().chain(tag).collect::<Vec<_>>().join(", ")
        }
    };
    assert_eq!(got, expect, "{text}");
}

#[test]
fn a_push_puts_what_is_new_and_needs_what_it_names() {
    check_push("layer a\nlayer b", "i a b / / v1", "image i of 7, tag v1 i");
    check_push("layer a", "i a / / ", "image i of 7");
    check_push("layer a\nimage i", "i a / / v1", "tag v1 i");
    check_push("layer a\nimage i\ntag v1 i", "i a / / v1", "repeat");
    check_push("layer a\nimage i", "i a / / ", "repeat");
    check_push("layer a\nimage i\nimage j\ntag v1 j", "i a / / v1", "tag v1 i");
    check_push("image sha\nimage longest-child", "x / sha longest-child / v1", "image x of 13, tag v1 x");
    check_push(
        "layer a",
        "i a b c b / / v1",
        "Layers with digests '[b, c]' required for pushing image into repository with name 'web' in the registry with id '000000000000' do not exist",
    );
    check_push(
        "image a",
        "x / a b / v1",
        "Images with digests '[b]' required for pushing image into repository with name 'web' in the registry with id '000000000000' do not exist",
    );
}

#[test]
fn an_immutable_tag_stays_where_it_is() {
    let refused = "The image tag 'v1' already exists in the 'web' repository and cannot be overwritten because the repository is immutable.";
    check_push("immutable\nimage i\nimage j\ntag v1 j", "i / / v1", refused);
    check_push("immutable\nimage i\ntag v1 i", "i / / v1", refused);
    check_push("immutable\nimage i\ntag v1 i", "i / / v2", "tag v2 i");
    check_push("immutable\nimage i\ntag v1 i", "i / / ", "repeat");
    check_push("immutable v*\nimage i\nimage j\ntag v1 j", "i / / v1", "tag v1 i");
}

#[test]
fn quotas_are_kept() {
    let tags = (0..TAGS_MAX).map(|n| format!("tag t{n} i"));
    let full: Vec<String> = std::iter::once("image i".to_owned()).chain(tags).collect();
    let pushed = |tag: &str| Pushed { digest: "i".into(), tag: Some(tag.into()), ..Pushed::default() };
    let view = world(&full);
    let refusal = push(&view, &web(), pushed("new"), NOW).expect_err("full");
    assert!(refusal.to_string().contains("has 1000 tags"), "{refusal}");
    assert!(push(&view, &web(), pushed("t7"), NOW).expect("there already").is_repeat());

    let parts = vec!["a".to_owned(); PARTS_MAX + 1];
    let refusal = push(&view, &web(), Pushed { blobs: parts, ..Pushed::default() }, NOW).expect_err("too many");
    assert!(refusal.to_string().contains("Limit on number of layers per image exceeded"), "{refusal}");
    assert_eq!(IMAGES_MAX, 100_000);
}

#[test]
fn long_lists_of_missing_digests_are_cut() {
    let blobs = (0..30).map(|n| format!("d{n:02}")).collect();
    let refusal = push(&world(&[]), &web(), Pushed { blobs, ..Pushed::default() }, NOW).expect_err("missing");
    assert!(refusal.to_string().contains("d18, d19, and 10 more]'"), "{refusal}");
}

fn id(text: &str) -> ImageId {
    let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (tag, digest) = text.split_once('@').unwrap_or((text, ""));
    ImageId { digest: part(digest), tag: part(tag) }
}

/// `id` is `tag`, `@digest` or `tag@digest`.
fn check_delete(text: &str, wanted: &str, room: usize, expect: &str) {
    let got = match delete(&world(&lines(text)), &web(), &id(wanted), room) {
        Err(refusal) => refusal.to_string(),
        Ok(removal) => format!(
            "{} [{}]{}{}",
            removal.digest,
            removal.tags.join(" "),
            if removal.image { " image" } else { "" },
            if removal.more { " more" } else { "" }
        ),
    };
    assert_eq!(got, expect, "{wanted} of {text}");
}

#[test]
fn deletions_take_tags_and_with_the_last_one_the_image() {
    let two = "image i\ntag a i\ntag b i";
    check_delete(two, "a", 9, "i [a]");
    check_delete(two, "a@i", 9, "i [a]");
    check_delete(two, "@i", 9, "i [a b] image");
    check_delete(two, "@i", 3, "i [a b] image");
    check_delete(two, "@i", 2, "i [a] more");
    check_delete(two, "@i", 1, "i [a] more");
    check_delete("image i\ntag a i", "a", 9, "i [a] image");
    check_delete("image i\ntag a i", "a", 1, "i [] more");
    check_delete("image i", "@i", 1, "i [] image");
    check_delete(two, "c", 9, "Requested image not found");
    check_delete(two, "@j", 9, "Requested image not found");
    check_delete(two, "a@j", 9, "Requested image not found: the tag is not one of the image with that digest");
    check_delete(two, "", 9, "Invalid request parameters: both tag and digest cannot be null");
}

#[test]
fn what_an_index_lists_stays() {
    let listed = "image i\nimage x i\nimage y i\ntag a i\ntag all x";
    check_delete(listed, "@i", 9, "Requested image referenced by manifest list: [x, y]");
    check_delete(listed, "a", 9, "Requested image referenced by manifest list: [x, y]");
    check_delete(&format!("{listed}\ntag b i"), "a", 9, "i [a]");
    check_delete(listed, "all", 9, "x [all] image");
}

#[test]
fn a_pull_is_written_down_once_a_day() {
    let at = |last: Option<Timestamp>| Image { last_pulled_at: last, ..image("i", &[]) };
    assert!(pull_is_recorded(&at(None), NOW));
    assert!(!pull_is_recorded(&at(Some(NOW.plus_secs(-86_399))), NOW));
    assert!(pull_is_recorded(&at(Some(NOW.plus_secs(-86_400))), NOW));
}

#[test]
fn repositories_are_of_one_account_and_region() {
    let view = world(&lines("image i"));
    assert!(repository(&view, "000000000000", "us-east-1", "web").is_ok());
    for (account, region, name) in
        [("111111111111", "us-east-1", "web"), ("000000000000", "eu-west-1", "web"), ("000000000000", "us-east-1", "w")]
    {
        let refusal = repository(&view, account, region, name).expect_err("another");
        let text = format!("The repository with name '{name}' does not exist in the registry with id '{account}'");
        assert_eq!(refusal.to_string(), text);
    }
    assert_eq!(find(&view, &web(), &id("@i")).expect("an image").digest, "i");
}
