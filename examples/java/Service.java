// A service that lets in whoever has an access token of auth-ticket. Java 17 or newer, and AccessTokens.java beside it.
//
//   javac -d classes *.java
//   ISSUER=https://login.example.com AUDIENCE=orders APPID=wx0123456789abcdef PORT=8081 java -cp classes Service

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executors;

public final class Service {
    static void me(HttpExchange exchange, AccessTokens tokens) throws IOException {
        String header = exchange.getRequestHeaders().getFirst("Authorization");
        String[] words = header == null ? new String[0] : header.split(" ", 2);
        if (!exchange.getRequestURI().getPath().equals("/me")) {
            answer(exchange, 404, Map.of("error", "not_found"), null);
        } else if (words.length != 2 || !words[0].equalsIgnoreCase("Bearer")) {
            answer(exchange, 401, Map.of("error", "no token"), "Bearer");
        } else {
            try {
                Map<String, Object> claims = tokens.claimsOf(words[1]);
                Map<String, Object> me = new LinkedHashMap<>();
                for (String name : List.of("sub", "appid", "platform", "openid", "unionid", "login_id")) {
                    if (claims.get(name) instanceof String value) {
                        me.put(name, value);
                    }
                }
                answer(exchange, 200, me, null);
            } catch (AccessTokens.Refused refused) {
                System.err.println("refused: " + refused.getMessage());
                Map<String, String> body = Map.of("error", "invalid_token", "error_description", refused.getMessage());
                answer(exchange, 401, body, "Bearer error=\"invalid_token\"");
            }
        }
    }

    static void answer(HttpExchange exchange, int status, Map<String, ?> body, String challenge) throws IOException {
        byte[] text = AccessTokens.Json.write(body).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        if (challenge != null) {
            exchange.getResponseHeaders().set("WWW-Authenticate", challenge);
        }
        exchange.sendResponseHeaders(status, text.length);
        exchange.getResponseBody().write(text);
        exchange.close();
    }

    static String setting(String name, String what) throws AccessTokens.Refused {
        String value = System.getenv(name);
        if (value == null || value.isBlank()) {
            throw new AccessTokens.Refused(name + " is not set; it is " + what);
        }
        return value;
    }

    public static void main(String[] args) {
        try {
            String issuer = setting("ISSUER", "the server's public_url, such as https://login.example.com");
            String audience = setting("AUDIENCE", "what this service is called in jwt.audiences");
            String appids = setting("APPID", "the app whose users may come in; several with commas between");
            String port = setting("PORT", "where this service listens, on loopback");
            AccessTokens tokens = AccessTokens.connect(issuer, audience, Set.of(appids.split(",")));
            // A request that does not arrive holds a thread for so many seconds.
            System.setProperty("sun.net.httpserver.maxReqTime", "10");
            HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(port)), 0);
            server.setExecutor(Executors.newFixedThreadPool(4 * AccessTokens.MOST_WAITING));
            server.createContext("/", exchange -> me(exchange, tokens));
            server.start();
            System.out.println("listening on http://127.0.0.1:" + server.getAddress().getPort());
        } catch (IllegalArgumentException | IOException error) {
            System.err.println("error: cannot listen on port " + System.getenv("PORT") + ": " + error.getMessage());
            System.exit(1);
        } catch (AccessTokens.Refused error) {
            System.err.println("error: " + error.getMessage());
            System.exit(1);
        }
    }
}
