//! The private servers the other tests stand on: they start, answer, can be broken, and leave nothing behind.

use std::net::TcpStream;
use std::time::Duration;

use redis::AsyncCommands;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::postgres::{self, Postgres, Template};
use crate::support::redis::{Redis, redis_url};

async fn count(url: &str, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

async fn run(url: &str, sql: &'static str) {
    PgConnection::connect(url).await.unwrap().execute(sql).await.unwrap();
}

async fn redis_at(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn every_test_has_a_postgres_database_of_its_own() {
    let (one, other) = (postgres::database(), postgres::database());
    run(&one, "CREATE TABLE lead (id BIGINT)").await;
    assert_eq!(count(&one, "SELECT count(*) FROM pg_tables WHERE tablename = 'lead'").await, 1);
    assert_eq!(count(&other, "SELECT count(*) FROM pg_tables WHERE tablename = 'lead'").await, 0);
    assert_eq!(
        count(&one, "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'on'")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_filled_once_and_copied_for_each_test() {
    static FILLED: Template = Template::new();
    let fill = async |url: String| run(&url, "CREATE TABLE step AS SELECT 1 AS number").await;
    let copies: Vec<_> = (0..4).map(|_| tokio::task::spawn_blocking(move || FILLED.copy(fill))).collect();
    for copy in copies {
        let url = copy.await.unwrap();
        run(&url, "INSERT INTO step VALUES (2)").await;
        assert_eq!(count(&url, "SELECT count(*) FROM step").await, 2);
    }
}

#[tokio::test]
async fn a_postgres_that_was_killed_comes_back_with_what_it_had_committed() {
    let mut postgres = Postgres::start();
    let url = postgres.database();
    run(&url, "CREATE TABLE message AS SELECT 7 AS id").await;
    postgres.kill();
    assert!(PgConnection::connect(&url).await.is_err());
    postgres.start_again();
    assert_eq!(count(&url, "SELECT count(*) FROM message").await, 1);
}

#[tokio::test]
async fn every_test_has_a_redis_database_of_its_own() {
    let (mut one, mut other) = (redis_at(&redis_url()).await, redis_at(&redis_url()).await);
    let _: () = one.set("hint", 1).await.unwrap();
    assert!(one.exists::<_, bool>("hint").await.unwrap());
    assert!(!other.exists::<_, bool>("hint").await.unwrap());
}

#[tokio::test]
async fn a_redis_can_be_flushed_and_killed_and_comes_back_empty() {
    let mut server = Redis::start();
    let _: () = redis_at(&server.url()).await.set("hint", 1).await.unwrap();
    server.flush();
    assert!(!redis_at(&server.url()).await.exists::<_, bool>("hint").await.unwrap());
    let _: () = redis_at(&server.url()).await.set("hint", 2).await.unwrap();
    server.kill();
    assert!(redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.is_err());
    server.start_again();
    assert!(!redis_at(&server.url()).await.exists::<_, bool>("hint").await.unwrap());
}

#[tokio::test]
async fn a_paused_redis_answers_only_once_it_goes_on() {
    let server = Redis::start();
    let mut connection = redis_at(&server.url()).await;
    server.pause();
    let mut answer = tokio::spawn(async move { connection.set::<_, _, ()>("hint", 1).await });
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut answer).await.is_err());
    server.resume();
    answer.await.unwrap().unwrap();
}

#[test]
fn a_server_ends_with_its_value_and_its_directory_goes() {
    let server = Redis::start();
    let address = server.url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    drop(server);
    assert!(TcpStream::connect(&address).is_err());
}
