//! The whole session in an encrypted cookie, by actix-session.

use actix_session::storage::CookieSessionStore;
use actix_session::{Session as Jar, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::{App, Error, HttpResponse, HttpServer, error, rt, web};

use super::{SESSION_COOKIE, Session};

pub(super) fn serve(listener: std::net::TcpListener) -> anyhow::Result<()> {
    let key = Key::generate();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(SessionMiddleware::new(CookieSessionStore::default(), key.clone()))
            .route("/login", web::post().to(login))
            .route("/v1/verify", web::route().to(verify))
    });
    Ok(rt::System::new().block_on(server.listen(listener)?.run())?)
}

async fn login(jar: Jar) -> Result<HttpResponse, Error> {
    jar.insert(SESSION_COOKIE, Session::usual())?;
    Ok(HttpResponse::Ok().finish())
}

async fn verify(jar: Jar) -> Result<HttpResponse, Error> {
    let session: Session = jar.get(SESSION_COOKIE)?.ok_or_else(|| error::ErrorUnauthorized("no session"))?;
    let mut answer = HttpResponse::Ok();
    for header in session.headers() {
        answer.append_header(header);
    }
    Ok(answer.finish())
}
