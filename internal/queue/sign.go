package queue

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	tcclient "github.com/taskcluster/taskcluster/v44/clients/client-go"
	hawk "github.com/tent/hawk-go"
)

// sign adds the Authorization header, with a time stamp that is offset ahead
// of this machine's clock. Without a client id it leaves the request alone.
func sign(req *http.Request, creds Credentials, offset time.Duration) error {
	if creds.ClientID == "" {
		return nil
	}
	if strings.ContainsFunc(creds.ClientID, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		return fmt.Errorf("cannot sign as client %q: a client id has only printable ASCII without quotes and backslashes", creds.ClientID)
	}
	signer := tcclient.Credentials{
		ClientID:    creds.ClientID,
		AccessToken: string(creds.AccessToken),
		Certificate: string(creds.Certificate),
	}
	if err := signer.SignRequest(req); err != nil {
		// Its text quotes the certificate.
		return fmt.Errorf("cannot sign as client %q: its certificate is not a JSON document", creds.ClientID)
	}
	if offset == 0 {
		return nil
	}
	return signLater(req, creds, offset)
}

// signLater replaces a signature by one with another time stamp, which the
// Taskcluster client has no way to ask for.
func signLater(req *http.Request, creds Credentials, offset time.Duration) error {
	signed, err := hawk.ParseRequestHeader(req.Header.Get("Authorization"))
	if err != nil {
		return errors.New("cannot sign with the queue's time: the signature has no readable form")
	}
	auth := hawk.NewRequestAuth(req, &hawk.Credentials{
		ID: creds.ClientID, Key: string(creds.AccessToken), Hash: sha256.New,
	}, offset)
	auth.Ext = signed.Ext
	req.Header.Set("Authorization", auth.RequestHeader())
	return nil
}
