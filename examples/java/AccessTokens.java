// Checks access tokens of auth-ticket with the server's public keys. Standard library only, Java 17 or newer.

import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.*;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.*;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;

/** What is checked: that a token is one of this server, for this service, of one of these apps, and good now. */
record AccessTokens(String issuer, String audience, Set<String> appids, Keys keys) {
    static final int LEEWAY_S = 60; // that two clocks may differ
    static final int MAX_LIFE_S = 86_400; // auth-ticket gives no token a longer life
    static final int MAX_AGE_S = 300; // of the server's keys, where its Cache-Control says nothing
    static final long PAUSE_MS = 5_000; // between two questions to the server, whatever kids are made up
    static final int MOST_WAITING = 16; // requests that wait for a key at once; there are more threads than that
    static final int MAX_TOKEN = 8 * 1024; // characters

    /**
     * Asks the server where its keys are, and for the keys.
     *
     * @throws Refused with what to do, where the server does not answer or is another one
     */
    static AccessTokens connect(String issuer, String audience, Set<String> appids) throws Refused {
        try {
            URI metadata = URI.create(issuer + "/.well-known/oauth-authorization-server");
            HttpRequest request = HttpRequest.newBuilder(metadata).timeout(Duration.ofSeconds(5)).build();
            HttpResponse<String> answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
            if (answer.statusCode() != 200) {
                throw new Refused(metadata + " answers " + answer.statusCode() + "; is public_url set there?");
            }
            Map<String, Object> server = Json.parse(answer.body());
            if (!issuer.equals(server.get("issuer")) || !(server.get("jwks_uri") instanceof String jwksUri)) {
                throw new Refused("ISSUER has to be " + server.get("issuer") + ", not " + issuer);
            }
            Keys keys = new Keys(URI.create(jwksUri));
            keys.refresh().get(5, TimeUnit.SECONDS);
            keys.refreshNowAndThen();
            return new AccessTokens(issuer, audience, appids, keys);
        } catch (IOException | ExecutionException | TimeoutException error) {
            throw new Refused("cannot get the keys of " + issuer + ": " + reason(error));
        } catch (IllegalArgumentException error) {
            throw new Refused("ISSUER is no URL: " + issuer);
        } catch (InterruptedException interrupted) {
            throw new Refused("interrupted");
        }
    }

    /** Who the token is about. */
    Map<String, Object> claimsOf(String token) throws Refused {
        String[] parts = token.length() > MAX_TOKEN ? new String[0] : token.split("\\.", -1);
        if (parts.length != 3) {
            throw new Refused("not a JWT: it has to have three parts, and at most " + MAX_TOKEN + " characters");
        }
        Map<String, Object> header = object(parts[0]);
        if (!"at+jwt".equals(header.get("typ")) || header.containsKey("crit")) {
            throw new Refused("not an access token: typ has to be at+jwt, without crit");
        }
        Key key = header.get("kid") instanceof String kid ? keys.find(kid) : null;
        if (key == null) {
            throw new Refused("the server has no key of this kid");
        }
        if (!key.alg().equals(header.get("alg")) || !key.verifies(parts[0] + "." + parts[1], bytes(parts[2]))) {
            throw new Refused("not signed by the server");
        }
        Map<String, Object> claims = object(parts[1]);
        if (!issuer.equals(claims.get("iss"))) {
            throw new Refused("of another issuer than " + issuer);
        }
        Object aud = claims.get("aud");
        if (!audience.equals(aud) && !(aud instanceof List<?> list && list.contains(audience))) {
            throw new Refused("for another audience than " + audience);
        }
        // Several apps can have tokens for one audience; their users are different people.
        if (!(claims.get("appid") instanceof String appid && appids.contains(appid))) {
            throw new Refused("of a user of another app");
        }
        if (!(claims.get("sub") instanceof String sub) || sub.isEmpty()) {
            throw new Refused("about nobody: sub is missing");
        }
        checkTimes(claims);
        return claims;
    }

    private static void checkTimes(Map<String, Object> claims) throws Refused {
        double now = System.currentTimeMillis() / 1000.0;
        if (!(claims.get("exp") instanceof Double exp) || !(claims.get("iat") instanceof Double iat)) {
            throw new Refused("without a time: exp and iat have to be numbers");
        }
        if (now >= exp + LEEWAY_S) {
            throw new Refused("expired " + Math.round(now - exp) + " s ago");
        }
        Object nbf = claims.get("nbf");
        boolean startsLater = nbf != null && !(nbf instanceof Double start && start <= now + LEEWAY_S);
        if (startsLater || iat > now + LEEWAY_S) {
            throw new Refused("not good yet: compare the clocks of this machine and the server's");
        }
        if (exp - iat > MAX_LIFE_S) {
            throw new Refused("good for longer than a day");
        }
    }

    /** Why a token is refused, in words for the log and the client. */
    static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(String why) {
            super(why);
        }
    }

    /** A public key, which checks signatures of one algorithm, whatever a token says. */
    record Key(String alg, PublicKey key) {
        // What comes before the bytes of the key in a SubjectPublicKeyInfo: RFC 5480, RFC 8410.
        static final String P256_INFO = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
        static final String ED25519_INFO = "302a300506032b6570032100";

        /** Null for a key of another kind, which a later version of the server may have. */
        static Key of(Map<?, ?> jwk) throws GeneralSecurityException, Refused {
            return switch (jwk.get("kty") + " " + jwk.get("crv") + " " + jwk.get("alg")) {
                case "EC P-256 ES256" -> new Key("ES256", key("EC", P256_INFO, bytes(jwk.get("x")), bytes(jwk.get("y"))));
                case "OKP Ed25519 EdDSA" -> new Key("EdDSA", key("Ed25519", ED25519_INFO, bytes(jwk.get("x"))));
                default -> null;
            };
        }

        private static PublicKey key(String kind, String info, byte[]... parts) throws GeneralSecurityException {
            ByteBuffer der = ByteBuffer.allocate(256).put(HexFormat.of().parseHex(info));
            for (byte[] part : parts) {
                if (part.length != 32) {
                    throw new GeneralSecurityException("a key of another length");
                }
                der.put(part);
            }
            byte[] encoded = Arrays.copyOf(der.array(), der.position());
            return KeyFactory.getInstance(kind).generatePublic(new X509EncodedKeySpec(encoded));
        }

        boolean verifies(String message, byte[] signature) {
            if (signature.length != 64) {
                return false;
            }
            // Java before 17.0.3 takes zeros for a signature of ES256 (CVE-2022-21449).
            byte[] zeros = new byte[32];
            boolean hasZeros = Arrays.equals(signature, 0, 32, zeros, 0, 32) || Arrays.equals(signature, 32, 64, zeros, 0, 32);
            if (hasZeros) {
                return false;
            }
            try {
                Signature check = Signature.getInstance(alg.equals("ES256") ? "SHA256withECDSAinP1363Format" : "Ed25519");
                check.initVerify(key);
                check.update(message.getBytes(StandardCharsets.US_ASCII));
                return check.verify(signature);
            } catch (GeneralSecurityException malformed) {
                return false;
            }
        }
    }

    /**
     * The server's public keys.
     *
     * <p>A key that is known never waits: old keys are fetched again behind the request. A key that is not known is asked for
     * at once, in one fetch for all who wait, and then not for a while.
     */
    static final class Keys {
        // It follows no redirects by default: nobody sends this service elsewhere.
        private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        private final Semaphore waiting = new Semaphore(MOST_WAITING);
        private final URI uri;
        private volatile Map<String, Key> byKid = Map.of();
        private volatile long freshUntil; // Unix milliseconds
        private CompletableFuture<Void> inFlight = CompletableFuture.completedFuture(null);
        private long askedAt = System.nanoTime() - TimeUnit.MILLISECONDS.toNanos(PAUSE_MS);

        Keys(URI uri) {
            this.uri = uri;
        }

        /** Null if the server has no such key. */
        Key find(String kid) {
            Key known = byKid.get(kid);
            if (known != null) {
                if (System.currentTimeMillis() >= freshUntil) {
                    refresh();
                }
                return known;
            }
            CompletableFuture<Void> fetch = refresh();
            // While the server hangs, made-up kids take no more threads than these.
            if (!fetch.isDone() && waiting.tryAcquire()) {
                try {
                    fetch.get(3, TimeUnit.SECONDS);
                } catch (ExecutionException | TimeoutException failed) {
                    // Told in refresh().
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                } finally {
                    waiting.release();
                }
            }
            return byKid.get(kid);
        }

        /** The fetch that runs, a new one, or the last one if it is too early for another. */
        synchronized CompletableFuture<Void> refresh() {
            boolean mayAsk = System.nanoTime() - askedAt >= TimeUnit.MILLISECONDS.toNanos(PAUSE_MS);
            if (inFlight.isDone() && mayAsk) {
                askedAt = System.nanoTime();
                HttpRequest request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(2)).build();
                inFlight = client.sendAsync(request, BodyHandlers.ofString()).thenAccept(this::take);
                inFlight.whenComplete((done, error) -> {
                    if (error != null) {
                        log("the keys stay as they are: " + reason(error));
                    }
                });
            }
            return inFlight;
        }

        /** Behind requests, so that old keys are found out about without any. */
        void refreshNowAndThen() {
            ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(work -> {
                Thread thread = new Thread(work);
                thread.setDaemon(true);
                return thread;
            });
            timer.scheduleWithFixedDelay(this::refresh, MAX_AGE_S, MAX_AGE_S, TimeUnit.SECONDS);
        }

        private void take(HttpResponse<String> answer) {
            try {
                if (answer.statusCode() != 200 || !(Json.parse(answer.body()).get("keys") instanceof List<?> set)) {
                    throw new IOException(uri + " answers " + answer.statusCode() + " and no keys");
                }
                Map<String, Key> found = new HashMap<>();
                for (Object one : set) {
                    if (one instanceof Map<?, ?> jwk && jwk.get("kid") instanceof String kid) {
                        Key key = Key.of(jwk);
                        if (key != null) {
                            found.put(kid, key);
                        }
                    }
                }
                String caching = answer.headers().firstValue("cache-control").orElse("");
                Matcher age = Pattern.compile("max-age=(\\d{1,6})").matcher(caching);
                freshUntil = System.currentTimeMillis() + 1000L * (age.find() ? Integer.parseInt(age.group(1)) : MAX_AGE_S);
                byKid = found;
            } catch (IOException | GeneralSecurityException | Refused error) {
                throw new IllegalStateException(error);
            }
        }
    }

    /** The bytes of base64url, spelt in the one way without padding. */
    static byte[] bytes(Object part) throws Refused {
        try {
            byte[] bytes = Base64.getUrlDecoder().decode((String) part);
            if (Base64.getUrlEncoder().withoutPadding().encodeToString(bytes).equals(part)) {
                return bytes;
            }
        } catch (IllegalArgumentException | ClassCastException | NullPointerException malformed) {
            // As below.
        }
        throw new Refused("not base64url");
    }

    static Map<String, Object> object(String part) throws Refused {
        try {
            return Json.parse(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes(part))).toString());
        } catch (CharacterCodingException error) {
            throw new Refused("not UTF-8");
        }
    }

    /** JSON, of which Java's library has nothing: strict, no member twice, not deep. */
    static final class Json {
        private static final int MAX_DEPTH = 16;
        private static final Pattern NUMBER = Pattern.compile("-?(?:0|[1-9]\\d*)(?:\\.\\d+)?(?:[eE][+-]?\\d+)?");
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        static Map<String, Object> parse(String text) throws Refused {
            Json json = new Json(text);
            Map<String, Object> value = json.object(0);
            json.blank();
            if (json.at != text.length()) {
                throw new Refused("not JSON: something follows");
            }
            return value;
        }

        private char peek() {
            return at < text.length() ? text.charAt(at) : '\0';
        }

        private void blank() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
        }

        private boolean takes(String next) {
            blank();
            boolean is = text.startsWith(next, at);
            at += is ? next.length() : 0;
            return is;
        }

        private void need(String next) throws Refused {
            if (!takes(next)) {
                throw new Refused("not JSON");
            }
        }

        private Map<String, Object> object(int depth) throws Refused {
            Map<String, Object> members = new HashMap<>();
            need("{");
            if (takes("}")) {
                return members;
            }
            do {
                String name = string();
                need(":");
                if (members.containsKey(name)) {
                    throw new Refused("not JSON that means one thing: a member twice");
                }
                members.put(name, value(depth + 1));
            } while (takes(","));
            need("}");
            return members;
        }

        private Object value(int depth) throws Refused {
            blank();
            if (depth > MAX_DEPTH) {
                throw new Refused("too deep");
            }
            if (peek() == '{') {
                return object(depth);
            } else if (peek() == '"') {
                return string();
            } else if (takes("[")) {
                return list(depth);
            } else if (takes("null")) {
                return null;
            } else if (takes("true")) {
                return true;
            } else if (takes("false")) {
                return false;
            }
            Matcher number = NUMBER.matcher(text).region(at, text.length());
            if (!number.lookingAt() || !Double.isFinite(Double.parseDouble(number.group()))) {
                throw new Refused("not JSON");
            }
            at = number.end();
            return Double.valueOf(number.group());
        }

        private List<Object> list(int depth) throws Refused {
            List<Object> list = new ArrayList<>();
            if (!takes("]")) {
                do {
                    list.add(value(depth + 1));
                } while (takes(","));
                need("]");
            }
            return list;
        }

        private String string() throws Refused {
            StringBuilder string = new StringBuilder();
            need("\"");
            while (peek() != '"') {
                char next = peek();
                if (next < ' ') {
                    throw new Refused("not JSON");
                }
                at++;
                string.append(next == '\\' ? escaped() : next);
            }
            at++;
            return string.toString();
        }

        private char escaped() throws Refused {
            int which = "\"\\/bfnrt".indexOf(peek());
            if (which >= 0) {
                at++;
                return "\"\\/\b\f\n\r\t".charAt(which);
            }
            need("u");
            Matcher digits = Pattern.compile("[0-9a-fA-F]{4}").matcher(text).region(at, text.length());
            if (!digits.lookingAt()) {
                throw new Refused("not JSON");
            }
            at += 4;
            return (char) Integer.parseInt(digits.group(), 16);
        }

        static String write(Map<String, ?> members) {
            StringJoiner json = new StringJoiner(",", "{", "}");
            members.forEach((name, value) -> json.add(quote(name) + ":" + quote(value.toString())));
            return json.toString();
        }

        private static String quote(String text) {
            StringBuilder quoted = new StringBuilder("\"");
            for (char c : text.toCharArray()) {
                boolean isPlain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
                quoted.append(isPlain ? String.valueOf(c) : String.format("\\u%04x", (int) c));
            }
            return quoted.append('"').toString();
        }
    }

    static void log(String line) {
        System.err.println(line);
    }

    /** The last cause of an error, in words. */
    static String reason(Throwable error) {
        Throwable cause = error;
        while (cause.getCause() != null) {
            cause = cause.getCause();
        }
        boolean isRefused = error instanceof ConnectException || error.getCause() instanceof ConnectException;
        return isRefused ? "nobody answers there" : cause.getClass().getSimpleName() + ", " + cause.getMessage();
    }
}
