//! Lists in pages.

use super::World;
use serde_json::json;

/// Follows `Link` from `path` and answers the pages' entries.
async fn pages(world: &World, path: &str, member: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (path.to_owned(), Vec::new());
    loop {
        let answer = world.send(&format!("GET {path}"), &[], "").await.expect(200, "");
        let document = answer.json();
        let entries = document[member].as_array().expect("entries").iter();
        pages.push(entries.map(|entry| entry.as_str().expect("text").to_owned()).collect());
        match answer.header("link").strip_suffix(">; rel=\"next\"").and_then(|link| link.strip_prefix('<')) {
            Some(next) => path = next.to_owned(),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn tags_are_listed_in_order() {
    let world = World::start().await;
    let none = world.send("GET /v2/web/tags/list", &[], "").await.expect(200, "");
    assert_eq!(none.json(), json!({"name": "web", "tags": []}));
    let image = world.push_image("web", "v1", &["one"]).await;
    for tag in ["v10", "a", "V2", "v1.1"] {
        world.put_manifest("web", tag, &image).await.expect(201, "");
    }
    let expect = [vec!["V2", "a"], vec!["v1", "v1.1"], vec!["v10"]];
    assert_eq!(pages(&world, "/v2/web/tags/list?n=2", "tags").await, expect);
    assert_eq!(pages(&world, "/v2/web/tags/list", "tags").await.concat(), expect.concat());
    assert_eq!(pages(&world, "/v2/web/tags/list?last=v1", "tags").await, [["v1.1", "v10"]]);
    assert_eq!(pages(&world, "/v2/web/tags/list?n=0", "tags").await, [[""; 0]]);
    world.send("GET /v2/web/tags/list?n=x", &[], "").await.expect(400, "PAGINATION_NUMBER_INVALID");
    world.send("GET /v2/none/tags/list", &[], "").await.expect(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn repositories_are_listed_in_order() {
    let world = World::start().await;
    world.repository("a/b").await;
    let expect = [vec!["a/b", "other"], vec!["web"]];
    assert_eq!(pages(&world, "/v2/_catalog?n=2", "repositories").await, expect);
    assert_eq!(pages(&world, "/v2/_catalog", "repositories").await, [expect.concat()]);
}
