// A service that lets in whoever has an access token of auth-ticket. Standard library only, Go 1.19 or newer.
//
//	ISSUER=https://login.example.com AUDIENCE=orders PORT=8081 go run main.go
package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	leeway  = 60              // seconds that two clocks may differ
	maxLife = 24 * 60 * 60    // seconds; auth-ticket gives no token a longer life
	pause   = 5 * time.Second // between two questions to the server, whatever kids are made up
)

// One round trip must not hold up the requests that wait for it, and nobody sends this service elsewhere.
var client = &http.Client{
	Timeout:       2 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("a redirect") },
}

var maxAge = regexp.MustCompile(`max-age=(\d+)`)

// A Key checks signatures of one algorithm, whatever a token says.
type Key struct {
	alg    string
	verify func(message, signature []byte) bool
}

// Keys are the server's public keys: kept for their max-age, and for longer while the server is away.
type Keys struct {
	url        string
	mutex      sync.Mutex
	byKid      map[string]Key
	freshUntil time.Time
	askedAt    time.Time
}

func (keys *Keys) find(kid string) (Key, bool) {
	keys.mutex.Lock()
	defer keys.mutex.Unlock()
	_, known := keys.byKid[kid]
	now := time.Now()
	if (!known || now.After(keys.freshUntil)) && now.Sub(keys.askedAt) > pause {
		if err := keys.fetch(now); err != nil {
			log.Printf("the keys stay as they are: %v", err)
		}
	}
	key, known := keys.byKid[kid]
	return key, known
}

func (keys *Keys) fetch(now time.Time) error {
	keys.askedAt = now
	var set struct {
		Keys []struct{ Kid, Kty, Crv, Alg, X, Y string }
	}
	header, err := getJSON(keys.url, &set)
	if err != nil {
		return err
	}
	byKid := map[string]Key{}
	for _, jwk := range set.Keys {
		x, errX := decode(jwk.X)
		y, errY := decode(jwk.Y)
		if errX != nil || errY != nil {
			continue
		}
		switch jwk.Kty + " " + jwk.Crv + " " + jwk.Alg {
		case "EC P-256 ES256":
			if key, ok := es256(x, y); ok {
				byKid[jwk.Kid] = key
			}
		case "OKP Ed25519 EdDSA":
			if len(x) == ed25519.PublicKeySize {
				byKid[jwk.Kid] = Key{jwk.Alg, func(message, signature []byte) bool {
					return ed25519.Verify(x, message, signature)
				}}
			}
		}
	}
	life := 300 * time.Second
	if found := maxAge.FindStringSubmatch(header.Get("Cache-Control")); found != nil {
		if age, err := time.ParseDuration(found[1] + "s"); err == nil {
			life = age
		}
	}
	keys.byKid, keys.freshUntil = byKid, now.Add(life)
	return nil
}

// What comes before the coordinates in a SubjectPublicKeyInfo of P-256 (RFC 5480).
const p256Info = "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"

func es256(x, y []byte) (Key, bool) {
	parsed, err := x509.ParsePKIXPublicKey([]byte(p256Info + string(x) + string(y)))
	public, ok := parsed.(*ecdsa.PublicKey)
	verify := func(message, signature []byte) bool {
		if len(signature) != 64 {
			return false
		}
		digest := sha256.Sum256(message)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(public, digest[:], r, s)
	}
	return Key{"ES256", verify}, ok && err == nil
}

// An Object has the names that were sent: a struct of encoding/json would take `ALG` for `alg`.
type Object map[string]any

func (object Object) text(name string) string {
	text, _ := object[name].(string)
	return text
}

func (object Object) number(name string) (float64, bool) {
	number, ok := object[name].(float64)
	return number, ok
}

// Who the token is about, if it is one for us and good now.
func claimsOf(token, issuer, audience string, keys *Keys) (Object, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("not three parts")
	}
	var header, claims Object
	if err := decodeJSON(parts[0], &header); err != nil {
		return nil, err
	}
	if _, critical := header["crit"]; critical || header.text("typ") != "at+jwt" {
		return nil, errors.New("not the header of an access token")
	}
	key, known := keys.find(header.text("kid"))
	if !known || header.text("alg") != key.alg {
		return nil, errors.New("no key of the server")
	}
	signature, err := decode(parts[2])
	if err != nil || !key.verify([]byte(parts[0]+"."+parts[1]), signature) {
		return nil, errors.New("not signed by the server")
	}
	if err := decodeJSON(parts[1], &claims); err != nil {
		return nil, err
	}
	if claims.text("iss") != issuer || claims.text("sub") == "" || !names(claims["aud"], audience) {
		return nil, errors.New("of another server, of nobody or for somebody else")
	}
	now := float64(time.Now().Unix())
	exp, hasExp := claims.number("exp")
	iat, hasIat := claims.number("iat")
	if !hasExp || !hasIat || now >= exp+leeway || iat > now+leeway || exp-iat > maxLife {
		return nil, errors.New("not good now")
	}
	if nbf, hasNbf := claims.number("nbf"); claims["nbf"] != nil && (!hasNbf || nbf > now+leeway) {
		return nil, errors.New("not good yet")
	}
	return claims, nil
}

// Whether `aud`, a text or a list of texts, has `audience` in it.
func names(aud any, audience string) bool {
	list, isList := aud.([]any)
	if !isList {
		list = []any{aud}
	}
	for _, one := range list {
		if one == audience {
			return true
		}
	}
	return false
}

func decode(part string) ([]byte, error) { return base64.RawURLEncoding.Strict().DecodeString(part) }

func decodeJSON(part string, into *Object) error {
	text, err := decode(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func getJSON(url string, into any) (http.Header, error) {
	response, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return response.Header, json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(into)
}

func main() {
	issuer, audience := os.Getenv("ISSUER"), os.Getenv("AUDIENCE")
	var server struct {
		Issuer  string
		JwksURI string `json:"jwks_uri"`
	}
	if _, err := getJSON(issuer+"/.well-known/oauth-authorization-server", &server); err != nil {
		log.Fatal(err)
	}
	if server.Issuer != issuer || audience == "" {
		log.Fatalf("ISSUER has to be %q, and AUDIENCE one of the server's", server.Issuer)
	}
	keys := &Keys{url: server.JwksURI}
	if err := keys.fetch(time.Now()); err != nil {
		log.Fatal(err)
	}

	answer := func(w http.ResponseWriter, status int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}
	http.HandleFunc("/me", func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			answer(w, http.StatusUnauthorized, Object{"error": "no token"})
			return
		}
		claims, err := claimsOf(token, issuer, audience, keys)
		if err != nil {
			log.Printf("refused: %v", err)
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			answer(w, http.StatusUnauthorized, Object{"error": "invalid_token"})
			return
		}
		me := Object{}
		for _, name := range []string{"sub", "appid", "platform", "openid", "unionid", "login_id"} {
			if value, has := claims[name]; has {
				me[name] = value
			}
		}
		answer(w, http.StatusOK, me)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	service := &http.Server{ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(service.Serve(listener))
}
