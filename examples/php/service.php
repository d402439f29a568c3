<?php
// A service that lets in whoever has an access token of auth-ticket. PHP 8.1 or newer with its openssl and sodium.
//
//   ISSUER=https://login.example.com AUDIENCE=orders CACHE_DIR=/var/cache/orders php -S 127.0.0.1:8081 service.php
//
// CACHE_DIR is a directory that nobody but this service can write to: the keys that it trusts are kept there.
declare(strict_types=1);

const LEEWAY_S = 60;      // that two clocks may differ
const MAX_LIFE_S = 86400; // auth-ticket gives no token a longer life
const PAUSE_S = 5;        // between two questions to the server, whatever kids are made up

final class Refused extends Exception {}

/** The server's public key of this name: kept for its max-age, and for longer while the server is away. */
function key_of(string $kid): ?array
{
    // Requests share nothing but this file, and one of them at a time may ask the server.
    $file = fopen(getenv('CACHE_DIR') . '/jwks.json', 'c+');
    flock($file, LOCK_EX);
    $cache = json_decode(stream_get_contents($file), true) ?? ['keys' => [], 'fresh_until' => 0, 'asked_at' => 0];
    $now = time();
    if ((!isset($cache['keys'][$kid]) || $now >= $cache['fresh_until']) && $now - $cache['asked_at'] >= PAUSE_S) {
        $cache['asked_at'] = $now;
        $options = stream_context_create(['http' => ['timeout' => 2, 'follow_location' => 0]]);
        $answer = @fopen(getenv('ISSUER') . '/.well-known/jwks.json', 'r', false, $options);
        $set = $answer ? json_decode(stream_get_contents($answer), true) : null;
        if (is_array($set['keys'] ?? null)) {
            $headers = implode("\n", stream_get_meta_data($answer)['wrapper_data']);
            preg_match('/^Cache-Control:.*max-age=(\d+)/im', $headers, $found);
            $cache['keys'] = array_column($set['keys'], null, 'kid');
            $cache['fresh_until'] = $now + (int) ($found[1] ?? 300);
        } else {
            error_log('the keys stay as they are: the server does not answer');
        }
        ftruncate($file, 0);
        rewind($file);
        fwrite($file, json_encode($cache));
    }
    fclose($file);
    if ($cache['fresh_until'] === 0) {
        throw new RuntimeException('the server has shown no keys yet'); // 500: the token may be good
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
        throw new Refused('not a JSON object');
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
    return $aud === getenv('AUDIENCE') || (is_array($aud) && array_is_list($aud) && in_array(getenv('AUDIENCE'), $aud, true));
}

/** Who the token is about, if it is one for us and good now. */
function claims_of(string $token): array
{
    $parts = explode('.', $token);
    if (count($parts) !== 3) {
        throw new Refused('not three parts');
    }
    $header = decode_object($parts[0]);
    if (($header['typ'] ?? null) !== 'at+jwt' || array_key_exists('crit', $header) || !is_string($header['kid'] ?? null)) {
        throw new Refused('not the header of an access token');
    }
    $key = key_of($header['kid']);
    if ($key === null || ($header['alg'] ?? null) !== $key['alg']) {
        throw new Refused('no key of the server');
    }
    if (!is_signed($key, $parts[0] . '.' . $parts[1], decode($parts[2]))) {
        throw new Refused('not signed by the server');
    }
    $claims = decode_object($parts[1]);
    $now = time();
    ['iss' => $iss, 'sub' => $sub, 'aud' => $aud, 'exp' => $exp, 'iat' => $iat, 'nbf' => $nbf] =
        $claims + array_fill_keys(['iss', 'sub', 'aud', 'exp', 'iat'], null) + ['nbf' => 0];
    if ($iss !== getenv('ISSUER') || !is_string($sub) || $sub === '' || !is_for_us($aud)) {
        throw new Refused('of another server, of nobody or for somebody else');
    }
    foreach ([$exp, $iat, $nbf] as $time) {
        if (!is_int($time) && !is_float($time)) {
            throw new Refused('a time that is no number');
        }
    }
    if ($now >= $exp + LEEWAY_S || max($iat, $nbf) > $now + LEEWAY_S || $exp - $iat > MAX_LIFE_S) {
        throw new Refused('not good now');
    }
    return $claims;
}

function answer(int $status, array $body, ?string $challenge = null): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    if ($challenge !== null) {
        header('WWW-Authenticate: ' . $challenge);
    }
    echo json_encode($body, JSON_UNESCAPED_SLASHES);
}

if ($_SERVER['REQUEST_URI'] !== '/me') {
    answer(404, ['error' => 'not_found']);
} elseif (!preg_match('/^Bearer (.*)$/i', $_SERVER['HTTP_AUTHORIZATION'] ?? '', $bearer)) {
    answer(401, ['error' => 'no token'], 'Bearer');
} else {
    try {
        $names = array_flip(['sub', 'appid', 'platform', 'openid', 'unionid', 'login_id']);
        answer(200, array_intersect_key(claims_of($bearer[1]), $names));
    } catch (Refused $error) {
        error_log('refused: ' . $error->getMessage());
        answer(401, ['error' => 'invalid_token'], 'Bearer error="invalid_token"');
    }
}
