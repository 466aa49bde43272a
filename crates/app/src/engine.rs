//! Where the rows are kept, and the key that opens what is sealed in them.

use crate::data_dir::DataDir;
use anyhow::{Context, Result};
use base::{MASTER_KEY_LEN, MasterKey, OsSecrets, Secrets};
use state::{ACCESS_KEYS, AccessKey};
use store::{EtcdEngine, EtcdPlace, FjallEngine, MemoryEngine, Role, Store, View, key};

/// What `--engine` chose.
#[derive(Clone, Debug)]
pub enum Engine {
    /// A folder of this server alone.
    Fjall,
    /// This process alone; not to be chosen, but with `--ephemeral`.
    Memory,
    /// An etcd that several servers share: one leads, the others stand by.
    Etcd(EtcdPlace),
}

/// `fjall`, or `etcd://HOST:PORT[/PREFIX]`.
pub fn parse(text: &str) -> Result<Engine, String> {
    match text {
        "fjall" => Ok(Engine::Fjall),
        text if text.starts_with("etcd:") => text.parse().map(Engine::Etcd).map_err(|error| format!("{error}")),
        _ => Err("an engine is fjall or etcd://HOST:PORT[/PREFIX]".to_owned()),
    }
}

impl Engine {
    /// Opens the rows; `address` is told to other servers while this one leads.
    pub fn open(&self, data: &DataDir, address: &str) -> Result<Store> {
        let store = match self {
            Self::Fjall => Store::open(state::schema(), FjallEngine::open(data.paths.state())?),
            Self::Memory => Store::open(state::schema(), MemoryEngine::default()),
            Self::Etcd(place) => Store::open(state::schema(), EtcdEngine::new(place.clone(), address)?),
        };
        store.context("cannot open the state")
    }
}

/// The key of the rows' secrets: made for new rows, unless another server leads and has made it.
pub fn master_key(engine: &Engine, data: &DataDir, store: &Store) -> Result<MasterKey> {
    if let Engine::Memory = engine {
        let mut key = [0; MASTER_KEY_LEN];
        OsSecrets.fill(&mut key);
        return Ok(MasterKey::new(&key)?);
    }
    let view = store.view();
    let is_new = matches!(store.role(), Role::Leading { .. }) && view.count(ACCESS_KEYS, &key![]) == 0;
    let master = data.master_key(is_new)?;
    check_opens(&master, &view, data)?;
    Ok(master)
}

/// That `master` is the key of these rows' secrets.
pub fn check_opens(master: &MasterKey, view: &View, data: &DataDir) -> Result<()> {
    let Some(row) = view.scan(ACCESS_KEYS, &key![]).next() else { return Ok(()) };
    let opened = master.open(&AccessKey::seal_context(&row.id), &row.secret);
    opened.map(|_| ()).with_context(|| {
        format!(
            "{} is not the master key of this data: copy the key file of the server that made it to that place. \
             It lies beside that server's data folder, `/var/lib/longshore.key` for `/var/lib/longshore`",
            data.paths.master_key().display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_engine_is_a_folder_or_an_etcd() {
        let check = |text: &str, expect: &str| {
            let said = parse(text).map_or_else(|error| error, |engine| format!("{engine:?}"));
            assert!(said.contains(expect), "{text}: {said}");
        };
        check("fjall", "Fjall");
        check("etcd://127.0.0.1:2379", "longshore");
        check("etcd:127.0.0.1:2379", "write it as etcd://HOST:PORT");
        check("etcd://10.1.1.1:2379", "without TLS");
        check("redb", "an engine is fjall or etcd://");
    }
}
