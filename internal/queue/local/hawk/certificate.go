package hawk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskcluster/slugid-go/slugid"
)

const (
	longestCertificate = 31 * 24 * time.Hour
	certificateSkew    = 5 * time.Minute
	seedLength         = 44
)

// Client is someone who has permanent credentials.
type Client struct {
	ID          string
	AccessToken string
	Scopes      []string
}

// Temporary is a set of temporary credentials. Certificate is a JSON document.
type Temporary struct {
	ClientID    string `json:"clientId"`
	AccessToken string `json:"accessToken"`
	Certificate string `json:"certificate"`
}

// certificate is the public part of temporary credentials; times are in
// milliseconds since 1970.
type certificate struct {
	Version   int      `json:"version"`
	Scopes    []string `json:"scopes"`
	Start     int64    `json:"start"`
	Expiry    int64    `json:"expiry"`
	Seed      string   `json:"seed"`
	Signature string   `json:"signature"`
	Issuer    string   `json:"issuer,omitempty"`
}

// Issue makes temporary credentials called name, valid from now until expiry
// and for these scopes, signed by the issuer. Whoever verifies them requires
// that the issuer has the scopes, and auth:create-client:<name>.
func Issue(issuer Client, name string, expiry time.Time, scopes []string) (Temporary, error) {
	c := certificate{
		Version: 1,
		Scopes:  scopes,
		Start:   time.Now().UnixMilli(),
		Expiry:  expiry.UnixMilli(),
		Seed:    slugid.V4() + slugid.V4(),
		Issuer:  issuer.ID,
	}
	c.Signature = c.sign(issuer.AccessToken, name)
	text, err := json.Marshal(c)
	if err != nil {
		return Temporary{}, fmt.Errorf("cannot encode the certificate of %s: %w", name, err)
	}
	return Temporary{ClientID: name, AccessToken: temporaryToken(issuer.AccessToken, c.Seed), Certificate: string(text)}, nil
}

func (c *certificate) sign(issuerToken, clientID string) string {
	lines := []string{"version:1"}
	if c.Issuer != "" {
		lines = append(lines, "clientId:"+clientID, "issuer:"+c.Issuer)
	}
	lines = append(
		lines,
		"seed:"+c.Seed,
		"start:"+strconv.FormatInt(c.Start, 10),
		"expiry:"+strconv.FormatInt(c.Expiry, 10),
		"scopes:",
	)
	return base64.StdEncoding.EncodeToString(mac(issuerToken, strings.Join(append(lines, c.Scopes...), "\n")))
}

// check verifies everything about the certificate; issuer is who signed it
// and clientID the name under which the request came.
func (c *certificate) check(issuer Client, clientID string, now time.Time) error {
	switch {
	case c.Version != 1:
		return errors.New("ext.certificate.version must be 1")
	case len(c.Seed) != seedLength:
		return fmt.Errorf("ext.certificate.seed must have %d characters", seedLength)
	case c.Scopes == nil || slices.ContainsFunc(c.Scopes, func(s string) bool { return !ValidScope(s) }):
		return errors.New("ext.certificate.scopes must be an array of valid scopes")
	case time.UnixMilli(c.Start).After(now.Add(certificateSkew)):
		return errors.New("the temporary credentials are not valid yet")
	case time.UnixMilli(c.Expiry).Before(now.Add(-certificateSkew)):
		return errors.New("the temporary credentials have expired")
	case c.Expiry-c.Start > longestCertificate.Milliseconds():
		return errors.New("temporary credentials must not be valid for more than 31 days")
	}
	if c.Issuer != "" && !Satisfies(issuer.Scopes, "auth:create-client:"+clientID) {
		return fmt.Errorf("the issuer %s of the temporary credentials lacks the scope auth:create-client:%s", issuer.ID, clientID)
	}
	for _, s := range c.Scopes {
		if !Satisfies(issuer.Scopes, s) {
			return fmt.Errorf("the issuer %s of the temporary credentials does not have their scope %s", issuer.ID, s)
		}
	}
	if !hmac.Equal([]byte(c.sign(issuer.AccessToken, clientID)), []byte(c.Signature)) {
		return errors.New("ext.certificate.signature is not valid for this clientId")
	}
	return nil
}

func temporaryToken(issuerToken, seed string) string {
	return base64.RawURLEncoding.EncodeToString(mac(issuerToken, seed))
}

func mac(key, text string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return h.Sum(nil)
}
