//! RegisterContainerInstance: a node joins a cluster, or comes back as the instance it was.

use crate::errors::EcsError;
use crate::names::{Kind, Scope};
use crate::show::{self, InstanceParts};
use crate::{find, supported, tags};
use auth::{CONTEXT_INSTANCE, Check};
use base::{ApiError, Principal};
use request::{Caller, Checks, Cx};
use serde::Deserialize;
use state::{ACCESS_KEYS, CONTAINER_INSTANCES, ContainerInstance, InstanceStatus, KeyOwner, Resources};
use std::collections::{BTreeMap, BTreeSet};
use store::{Tx, View, key};
use wire::types::ecs::{
    Attribute, RegisterContainerInstanceRequest, RegisterContainerInstanceResponse, Resource, VersionInfo,
};

/// Members of the request that mean something here; an identity document's signature is AWS's to check.
const SUPPORTED: [&str; 8] = [
    "cluster",
    "instanceIdentityDocument",
    "instanceIdentityDocumentSignature",
    "totalResources",
    "versionInfo",
    "containerInstanceArn",
    "attributes",
    "tags",
];

pub fn checks(_view: &View, input: &RegisterContainerInstanceRequest, caller: &Caller) -> Checks {
    let scope = Scope::from(caller);
    let cluster = scope.cluster_arn(scope.cluster(input.cluster.as_deref())?);
    let check = Check::new("ecs:RegisterContainerInstance", cluster)
        .with(CONTEXT_INSTANCE, input.container_instance_arn.iter().filter(|arn| !arn.is_empty()));
    let any = ContainerInstance::arn_of(scope.account, scope.region, scope.cluster(input.cluster.as_deref())?, "*");
    Ok(tags::checks_on_create(check, "RegisterContainerInstance", &any.to_string(), &input.tags))
}

/// The instance named, or the one that the node's key is bound to, keeps its row; else a new one is made.
pub fn run(
    tx: &mut Tx,
    input: RegisterContainerInstanceRequest,
    cx: &mut Cx,
) -> Result<RegisterContainerInstanceResponse, ApiError> {
    supported::only(&input, &SUPPORTED, "")?;
    let caller = cx.caller.clone();
    let scope = Scope::from(&caller);
    let cluster = scope.cluster(input.cluster.as_deref())?.to_owned();
    find::active_cluster(tx, scope, &cluster)?;
    let given = input.container_instance_arn.as_deref().filter(|arn| !arn.is_empty());
    let row = match known(tx, &caller, &cluster, given)? {
        Some(row) => ContainerInstance { version: row.version + 1, ..row.clone() },
        None => new(scope, cluster, cx),
    };
    let row = described(row, input)?;
    bind(tx, &caller.principal, &row.id);
    tx.put(CONTAINER_INSTANCES, row.clone());
    let parts = InstanceParts { tags: true, ..InstanceParts::default() };
    Ok(RegisterContainerInstanceResponse { container_instance: Some(show::instance(tx, &row, parts)) })
}

fn known<'a>(
    view: &'a View,
    caller: &Caller,
    cluster: &str,
    given: Option<&str>,
) -> Result<Option<&'a ContainerInstance>, EcsError> {
    let scope = Scope::from(caller);
    let is_active = |row: &ContainerInstance| row.status != InstanceStatus::Inactive;
    if let Some(given) = given {
        let member = scope.member(Kind::ContainerInstance, cluster, given)?;
        let row = find::instance(view, scope, cluster, &member).ok_or(EcsError::InstanceNotFound)?;
        return if is_active(row) { Ok(Some(row)) } else { Err(EcsError::InstanceInactive) };
    }
    let Principal::Node { instance: Some(bound), .. } = &caller.principal else { return Ok(None) };
    let row = view.get(CONTAINER_INSTANCES, &key![scope.account, scope.region, cluster, bound]);
    Ok(row.filter(|row| is_active(row)))
}

/// Its agent is not connected before it opens its session.
fn new(scope: Scope, cluster: String, cx: &mut Cx) -> ContainerInstance {
    ContainerInstance {
        account: scope.account.to_owned(),
        region: scope.region.to_owned(),
        cluster,
        id: cx.names.hex32(),
        status: InstanceStatus::Active,
        agent_connected: false,
        registered: Resources::default(),
        agent_attributes: Vec::new(),
        custom_attributes: BTreeMap::new(),
        agent_version: None,
        agent_hash: None,
        docker_version: None,
        ec2_instance_id: None,
        registered_at: cx.now,
        tags: state::Tags::new(),
        version: 1,
    }
}

/// `row` as the agent describes it now.
fn described(row: ContainerInstance, input: RegisterContainerInstanceRequest) -> Result<ContainerInstance, EcsError> {
    let identity = identity(input.instance_identity_document.as_deref())?;
    let VersionInfo { agent_version, agent_hash, docker_version } = input.version_info.unwrap_or_default();
    let tags = tags::read(input.tags)?;
    Ok(ContainerInstance {
        registered: resources(input.total_resources.unwrap_or_default())?,
        agent_attributes: attributes(&row.region, input.attributes.unwrap_or_default(), &identity),
        agent_version,
        agent_hash,
        docker_version,
        ec2_instance_id: identity.instance_id.or(row.ec2_instance_id),
        tags: if tags.is_empty() { row.tags } else { tags },
        ..row
    })
}

/// What an EC2 instance says of itself; shown, and trusted for nothing.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    instance_id: Option<String>,
    availability_zone: Option<String>,
    architecture: Option<String>,
}

fn identity(document: Option<&str>) -> Result<Identity, EcsError> {
    match document.filter(|document| !document.is_empty()) {
        None => Ok(Identity::default()),
        Some(document) => serde_json::from_str(document).map_err(|_| EcsError::IdentityDocument),
    }
}

fn resources(given: Vec<Resource>) -> Result<Resources, EcsError> {
    let (mut cpu, mut memory) = (None, None);
    let mut resources = Resources::default();
    for resource in given {
        let number = || resource.integer_value.and_then(|value| u32::try_from(value).ok());
        match resource.name.as_deref().unwrap_or_default() {
            "CPU" => cpu = number(),
            "MEMORY" => memory = number(),
            "PORTS" => resources.ports_tcp = ports(resource.string_set_value)?,
            "PORTS_UDP" => resources.ports_udp = ports(resource.string_set_value)?,
            other => return Err(EcsError::ResourceUnknown(other.to_owned())),
        }
    }
    resources.cpu = cpu.ok_or(EcsError::ResourceMissing("CPU"))?;
    resources.memory_mib = memory.ok_or(EcsError::ResourceMissing("MEMORY"))?;
    Ok(resources)
}

fn ports(given: Option<Vec<String>>) -> Result<BTreeSet<u16>, EcsError> {
    let port = |text: String| text.parse().ok().filter(|port| *port != 0).ok_or(EcsError::ResourcePort(text));
    given.unwrap_or_default().into_iter().map(port).collect()
}

/// The agent's attributes, and those that every instance has, where it does not name them.
fn attributes(region: &str, given: Vec<Attribute>, identity: &Identity) -> Vec<(String, Option<String>)> {
    let mut attributes: Vec<_> = given.into_iter().map(|attribute| (attribute.name, attribute.value)).collect();
    let zone = identity.availability_zone.clone().unwrap_or_else(|| format!("{region}a"));
    let architecture = identity.architecture.clone().unwrap_or_else(|| "x86_64".to_owned());
    for (name, value) in
        [("ecs.availability-zone", zone), ("ecs.cpu-architecture", architecture), ("ecs.os-type", "linux".to_owned())]
    {
        if !attributes.iter().any(|(known, _)| known == name) {
            attributes.push((name.to_owned(), Some(value)));
        }
    }
    attributes
}

/// From now on the node's key speaks for this instance.
fn bind(tx: &mut Tx, principal: &Principal, id: &str) {
    let Principal::Node { access_key_id, .. } = principal else { return };
    tx.update(ACCESS_KEYS, &key![access_key_id], |row| {
        if let KeyOwner::Node { instance, .. } = &mut row.owner {
            *instance = Some(id.to_owned());
        }
    });
}
