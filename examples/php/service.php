<?php
// A service that lets in whoever has an access token of auth-ticket. PHP 8.1 or newer with its openssl and sodium.
//
// Behind Apache and PHP-FPM with apache.conf, which also sets what is needed here:
//
//   ISSUER     the server's public_url, such as https://login.example.com
//   AUDIENCE   what this service is called in jwt.audiences
//   APPID      the app whose users may come in; several with commas between
//   CACHE_DIR  a directory that nobody but this service can write to: the keys that it trusts are kept there
//
// To try it: ISSUER=... AUDIENCE=... APPID=... CACHE_DIR=... php -S 127.0.0.1:8081 service.php
declare(strict_types=1);

const LEEWAY_S = 60;      // that two clocks may differ
const MAX_LIFE_S = 86400; // auth-ticket gives no token a longer life
const PAUSE_S = 5;        // between two questions to the server, whatever kids are made up
const TIMEOUT_S = 2;

/** Why a token is refused, in words for the log and the client. */
final class Refused extends Exception {}

/** Why nobody can be let in, whoever comes: for the log alone. */
final class NotSetUp extends Exception {}

function setting(string $name): string
{
    // PHP-FPM hands on what Apache sets in $_SERVER, php -S the environment.
    $value = $_SERVER[$name] ?? getenv($name);
    if (!is_string($value) || $value === '') {
        throw new NotSetUp("$name is not set; the head of service.php says what it is");
    }
    return $value;
}

/** Requests share nothing but a file: the keys, until when they are fresh, and when the server was asked last. */
function cache(): array
{
    $text = @file_get_contents(setting('CACHE_DIR') . '/jwks.json');
    return json_decode((string) $text, true) ?? ['keys' => [], 'fresh_until' => 0, 'asked_at' => 0];
}

function save(array $cache): void
{
    $file = tempnam(setting('CACHE_DIR'), 'jwks');
    // Renamed into place, so that no request reads half of it.
    if ($file === false || file_put_contents($file, json_encode($cache)) === false || !rename($file, setting('CACHE_DIR') . '/jwks.json')) {
        throw new NotSetUp('CACHE_DIR cannot be written to: ' . setting('CACHE_DIR'));
    }
}

/** Asks the server for its keys, unless another request is about that, or it was asked a moment ago. */
function refresh(): void
{
    $lock = @fopen(setting('CACHE_DIR') . '/lock', 'c');
    if ($lock === false) {
        throw new NotSetUp('CACHE_DIR cannot be written to: ' . setting('CACHE_DIR'));
    }
    $cache = flock($lock, LOCK_EX | LOCK_NB) ? cache() : ['asked_at' => time()];
    if (time() - $cache['asked_at'] < PAUSE_S) {
        return;
    }
    $cache['asked_at'] = time();
    save($cache);
    // Without redirects: nobody sends this service elsewhere.
    $options = stream_context_create(['http' => ['timeout' => TIMEOUT_S, 'follow_location' => 0]]);
    $answer = @fopen(setting('ISSUER') . '/.well-known/jwks.json', 'r', false, $options);
    $set = $answer ? json_decode((string) stream_get_contents($answer), true) : null;
    if (!is_array($set['keys'] ?? null)) {
        error_log('the keys stay as they are: ' . ($answer ? 'no keys come from ' : 'nobody answers at ') . setting('ISSUER'));
        return;
    }
    $headers = implode("\n", stream_get_meta_data($answer)['wrapper_data']);
    preg_match('/^Cache-Control:.*max-age=(\d{1,6})/im', $headers, $found);
    $cache['keys'] = array_column($set['keys'], null, 'kid');
    $cache['fresh_until'] = time() + (int) ($found[1] ?? 300);
    save($cache);
}

/** The same, once the client has its answer. */
function refresh_later(): void
{
    register_shutdown_function(function (): void {
        if (function_exists('fastcgi_finish_request')) {
            fastcgi_finish_request();
        } else {
            flush();
        }
        refresh();
    });
}

/**
 * The server's public key of this name: kept for its max-age, and for longer while the server is away.
 *
 * A key that is known never waits: old keys are fetched again behind the answer. For a key that is not known, one request at a
 * time asks the server, and then none for a while; the others are refused at once, so that made-up kids take no workers.
 */
function key_of(string $kid): ?array
{
    $cache = cache();
    if (isset($cache['keys'][$kid])) {
        if (time() >= $cache['fresh_until']) {
            refresh_later();
        }
        return $cache['keys'][$kid];
    }
    refresh();
    $cache = cache();
    if ($cache['fresh_until'] === 0) {
        throw new NotSetUp('the server has shown no keys yet: ' . setting('ISSUER')); // 500: the token may be good
    }
    return $cache['keys'][$kid] ?? null;
}

function decode(mixed $part): string
{
    $bytes = is_string($part) ? base64_decode(strtr($part, '-_', '+/'), true) : false;
    if ($bytes === false || rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=') !== $part) {
        throw new Refused('not base64url');
    }
    return $bytes;
}

function decode_object(string $part): array
{
    $value = json_decode(decode($part), true, 16);
    if (!is_array($value)) {
        throw new Refused('not a JWT: a part is no JSON object');
    }
    return $value;
}

/** Whether `key` signed `message`, by the algorithm of the key. */
function is_signed(array $key, string $message, string $signature): bool
{
    if (strlen($signature) !== 64) {
        return false;
    }
    $x = decode($key['x']);
    if ([$key['kty'], $key['crv'], $key['alg']] === ['OKP', 'Ed25519', 'EdDSA']) {
        return strlen($x) === SODIUM_CRYPTO_SIGN_PUBLICKEYBYTES && sodium_crypto_sign_verify_detached($signature, $message, $x);
    }
    if ([$key['kty'], $key['crv'], $key['alg']] !== ['EC', 'P-256', 'ES256']) {
        return false;
    }
    // OpenSSL wants ASN.1: the point as a SubjectPublicKeyInfo, the signature as a sequence of two positive integers.
    $point = hex2bin('3059301306072a8648ce3d020106082a8648ce3d030107034200') . "\x04" . $x . decode($key['y']);
    $pem = "-----BEGIN PUBLIC KEY-----\n" . chunk_split(base64_encode($point), 64, "\n") . "-----END PUBLIC KEY-----\n";
    $integers = '';
    foreach (str_split($signature, 32) as $integer) {
        $integer = ltrim($integer, "\0");
        $integer = $integer === '' || ord($integer[0]) > 127 ? "\0" . $integer : $integer;
        $integers .= "\x02" . chr(strlen($integer)) . $integer;
    }
    return openssl_verify($message, "\x30" . chr(strlen($integers)) . $integers, $pem, OPENSSL_ALGO_SHA256) === 1;
}

/** Whether `aud`, a text or a list of texts, has us in it. */
function is_for_us(mixed $aud): bool
{
    return $aud === setting('AUDIENCE') || (is_array($aud) && array_is_list($aud) && in_array(setting('AUDIENCE'), $aud, true));
}

/** Who the token is about, if it is one for us and good now. */
function claims_of(string $token): array
{
    $parts = explode('.', $token);
    if (count($parts) !== 3) {
        throw new Refused('not a JWT: it has not three parts');
    }
    $header = decode_object($parts[0]);
    if (($header['typ'] ?? null) !== 'at+jwt' || array_key_exists('crit', $header)) {
        throw new Refused('not an access token: typ has to be at+jwt, without crit');
    }
    $key = is_string($header['kid'] ?? null) ? key_of($header['kid']) : null;
    if ($key === null || ($header['alg'] ?? null) !== $key['alg']) {
        throw new Refused('the server has no key of this kid');
    }
    if (!is_signed($key, $parts[0] . '.' . $parts[1], decode($parts[2]))) {
        throw new Refused('not signed by the server: the signature is wrong');
    }
    $claims = decode_object($parts[1]);
    if (($claims['iss'] ?? null) !== setting('ISSUER')) {
        throw new Refused('of another issuer than ' . setting('ISSUER'));
    }
    if (!is_for_us($claims['aud'] ?? null)) {
        throw new Refused('for another audience than ' . setting('AUDIENCE'));
    }
    // Several apps can have tokens for one audience; their users are different people.
    if (!in_array($claims['appid'] ?? null, explode(',', setting('APPID')), true)) {
        throw new Refused('of a user of another app');
    }
    if (!is_string($claims['sub'] ?? null) || $claims['sub'] === '') {
        throw new Refused('about nobody: sub is missing');
    }
    check_times($claims);
    return $claims;
}

function check_times(array $claims): void
{
    $now = time();
    ['exp' => $exp, 'iat' => $iat, 'nbf' => $nbf] = $claims + ['exp' => null, 'iat' => null, 'nbf' => 0];
    foreach ([$exp, $iat, $nbf] as $time) {
        if (!is_int($time) && !is_float($time)) {
            throw new Refused('without a time: exp and iat have to be numbers');
        }
    }
    if ($now >= $exp + LEEWAY_S) {
        throw new Refused('expired ' . round($now - $exp) . ' s ago');
    }
    if (max($iat, $nbf) > $now + LEEWAY_S) {
        throw new Refused("not good yet: compare the clocks of this machine and the server's");
    }
    if ($exp - $iat > MAX_LIFE_S) {
        throw new Refused('good for longer than a day');
    }
}

/** The header as it came; Apache hides it without `CGIPassAuth On`, and a rewrite renames it. */
function authorization(): string
{
    return $_SERVER['HTTP_AUTHORIZATION'] ?? $_SERVER['REDIRECT_HTTP_AUTHORIZATION'] ?? '';
}

function answer(int $status, array $body, ?string $challenge = null): void
{
    $text = json_encode($body, JSON_UNESCAPED_SLASHES);
    http_response_code($status);
    header('Content-Type: application/json');
    // So that a client need not wait for the end of the request.
    header('Content-Length: ' . strlen($text));
    if ($challenge !== null) {
        header('WWW-Authenticate: ' . $challenge);
    }
    echo $text;
}

function main(): void
{
    if (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) !== '/me') {
        answer(404, ['error' => 'not_found']);
        return;
    }
    if (!preg_match('/^Bearer (.*)$/i', authorization(), $bearer)) {
        answer(401, ['error' => 'no token'], 'Bearer');
        return;
    }
    try {
        $names = array_flip(['sub', 'appid', 'platform', 'openid', 'unionid', 'login_id']);
        answer(200, array_intersect_key(claims_of($bearer[1]), $names));
    } catch (Refused $error) {
        error_log('refused: ' . $error->getMessage());
        $body = ['error' => 'invalid_token', 'error_description' => $error->getMessage()];
        answer(401, $body, 'Bearer error="invalid_token"');
    } catch (NotSetUp $error) {
        error_log('error: ' . $error->getMessage());
        answer(500, ['error' => 'not_set_up']);
    }
}

main();
