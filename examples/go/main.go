// A service that lets in whoever has an access token of auth-ticket. Standard library only, Go 1.19 or newer.
//
//	ISSUER=https://login.example.com AUDIENCE=orders APPID=wx0123456789abcdef PORT=8081 go run main.go
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
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	leeway  = 60              // seconds that two clocks may differ
	maxLife = 24 * 60 * 60    // seconds; auth-ticket gives no token a longer life
	pause   = 5 * time.Second // between two questions to the server, whatever kids are made up
)

// A server that hangs must not hold up those who wait for a new key, and nobody sends this service elsewhere.
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
	fetching   chan struct{} // closed at the end of the one fetch that runs
}

// A key that is known never waits: old keys are fetched again behind the request. A key that is not known waits for one
// fetch, with all others who wait, and then there is none for a while.
func (keys *Keys) find(kid string) (Key, bool) {
	keys.mutex.Lock()
	key, known := keys.byKid[kid]
	var fetching chan struct{}
	if !known || time.Now().After(keys.freshUntil) {
		fetching = keys.refresh()
	}
	keys.mutex.Unlock()
	if known || fetching == nil {
		return key, known
	}
	<-fetching // no longer than the client's timeout
	keys.mutex.Lock()
	defer keys.mutex.Unlock()
	key, known = keys.byKid[kid]
	return key, known
}

// The fetch that runs, or a new one; nil if it is too early for another. The mutex is held.
func (keys *Keys) refresh() chan struct{} {
	if keys.fetching == nil && time.Since(keys.askedAt) > pause {
		keys.askedAt, keys.fetching = time.Now(), make(chan struct{})
		go func() {
			byKid, life, err := fetch(keys.url)
			keys.mutex.Lock()
			defer keys.mutex.Unlock()
			if err == nil {
				keys.byKid, keys.freshUntil = byKid, time.Now().Add(life)
			} else {
				log.Printf("the keys stay as they are: %v", err)
			}
			close(keys.fetching)
			keys.fetching = nil
		}()
	}
	return keys.fetching
}

func fetch(url string) (map[string]Key, time.Duration, error) {
	var set struct {
		Keys []struct{ Kid, Kty, Crv, Alg, X, Y string }
	}
	header, err := getJSON(url, &set)
	if err != nil {
		return nil, 0, err
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
	return byKid, life, nil
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

// A Service is what a token has to be for.
type Service struct {
	issuer, audience string
	appids           []string
	keys             *Keys
}

// Who the token is about, if it is one for us and good now.
func (service *Service) claimsOf(token string) (Object, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("not a JWT: it has not three parts")
	}
	var header, claims Object
	if err := decodeJSON(parts[0], &header); err != nil {
		return nil, err
	}
	if _, critical := header["crit"]; critical || header.text("typ") != "at+jwt" {
		return nil, errors.New("not an access token: typ has to be at+jwt, without crit")
	}
	key, known := service.keys.find(header.text("kid"))
	if !known || header.text("alg") != key.alg {
		return nil, errors.New("the server has no key of this kid")
	}
	signature, err := decode(parts[2])
	if err != nil || !key.verify([]byte(parts[0]+"."+parts[1]), signature) {
		return nil, errors.New("not signed by the server: the signature is wrong")
	}
	if err := decodeJSON(parts[1], &claims); err != nil {
		return nil, err
	}
	if claims.text("iss") != service.issuer {
		return nil, errors.New("of another issuer than " + service.issuer)
	}
	if !names(claims["aud"], service.audience) {
		return nil, errors.New("for another audience than " + service.audience)
	}
	// Several apps can have tokens for one audience; their users are different people.
	if !has(service.appids, claims["appid"]) {
		return nil, errors.New("of a user of another app")
	}
	if claims.text("sub") == "" {
		return nil, errors.New("about nobody: sub is missing")
	}
	return claims, checkTimes(claims)
}

func checkTimes(claims Object) error {
	now := float64(time.Now().Unix())
	exp, hasExp := claims.number("exp")
	iat, hasIat := claims.number("iat")
	nbf, hasNbf := claims.number("nbf")
	if !hasExp || !hasIat {
		return errors.New("without a time: exp and iat have to be numbers")
	}
	if now >= exp+leeway {
		return fmt.Errorf("expired %.0f s ago", now-exp)
	}
	if iat > now+leeway || claims["nbf"] != nil && (!hasNbf || nbf > now+leeway) {
		return errors.New("not good yet: compare the clocks of this machine and the server's")
	}
	if exp-iat > maxLife {
		return errors.New("good for longer than a day")
	}
	return nil
}

func has(list []string, value any) bool {
	for _, one := range list {
		if one == value {
			return true
		}
	}
	return false
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

func decode(part string) ([]byte, error) {
	bytes, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return bytes, nil
}

func decodeJSON(part string, into *Object) error {
	text, err := decode(part)
	if err != nil {
		return err
	}
	if json.Unmarshal(text, into) != nil {
		return errors.New("not JSON")
	}
	return nil
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
	log.SetFlags(0)
	service, err := connect(
		setting("ISSUER", "the server's public_url, such as https://login.example.com"),
		setting("AUDIENCE", "what this service is called in jwt.audiences"),
		setting("APPID", "the app whose users may come in; several with commas between"),
	)
	if err != nil {
		log.Fatalf("error: %v", err)
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
		claims, err := service.claimsOf(token)
		if err != nil {
			log.Printf("refused: %v", err)
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			answer(w, http.StatusUnauthorized, Object{"error": "invalid_token", "error_description": err.Error()})
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
	port := setting("PORT", "where this service listens, on loopback")
	number, err := strconv.ParseUint(port, 10, 16) // a name would be looked up
	var listener net.Listener
	if err == nil {
		listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", number))
	}
	if err != nil {
		log.Fatalf("error: cannot listen on port %s: %v", port, err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal((&http.Server{ReadHeaderTimeout: 10 * time.Second}).Serve(listener))
}

func setting(name, what string) string {
	value := os.Getenv(name)
	if value == "" {
		log.Fatalf("error: %s is not set; it is %s", name, what)
	}
	return value
}

// A service that has the server's keys.
func connect(issuer, audience, appids string) (*Service, error) {
	parsed, err := url.Parse(issuer)
	if err != nil || parsed.Host == "" {
		return nil, fmt.Errorf("ISSUER is no URL: %s", issuer)
	}
	var server struct {
		Issuer  string
		JwksURI string `json:"jwks_uri"`
	}
	byKid := map[string]Key{}
	life := time.Duration(0)
	if _, err = getJSON(issuer+"/.well-known/oauth-authorization-server", &server); err == nil {
		if server.Issuer != issuer {
			return nil, fmt.Errorf("ISSUER has to be %s, as the server there calls itself", server.Issuer)
		}
		byKid, life, err = fetch(server.JwksURI)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = errors.New("nobody answers there")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot get the keys of %s: %w", issuer, err)
	}
	now := time.Now()
	keys := &Keys{url: server.JwksURI, byKid: byKid, freshUntil: now.Add(life), askedAt: now}
	return &Service{issuer, audience, strings.Split(appids, ","), keys}, nil
}
