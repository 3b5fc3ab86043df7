package gpg_test

import (
	"bytes"
	"crypto"
	"errors"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg"
)

// TestSelfSignatures has a key that speaks about itself in unusual ways.
func TestSelfSignatures(t *testing.T) {
	t.Parallel()
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return start }, KeyLifetimeSecs: 20 * 86400}
	e, err := openpgp.NewEntity("x", "", "", config)
	if err != nil {
		t.Fatal(err)
	}
	var plain bytes.Buffer
	if err := e.PrimaryKey.Serialize(&plain); err != nil {
		t.Fatal(err)
	}
	user := e.Identities["x"]
	signature := func(kind packet.SignatureType, change func(*packet.Signature)) []byte {
		s := &packet.Signature{
			Version: 4, SigType: kind, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo, Hash: crypto.SHA256,
			CreationTime: day(1), IssuerKeyId: &e.PrimaryKey.KeyId,
		}
		change(s)
		var err error
		if kind == packet.SigTypeDirectSignature {
			err = s.SignDirectKeyBinding(e.PrimaryKey, e.PrivateKey, nil)
		} else {
			err = s.SignUserId("x", e.PrimaryKey, e.PrivateKey, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := s.Serialize(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	days := func(n uint32) *uint32 { n *= 86400; return &n }
	var id bytes.Buffer
	if err := user.UserId.Serialize(&id); err != nil {
		t.Fatal(err)
	}
	first := signature(packet.SigTypePositiveCert, func(s *packet.Signature) { s.CreationTime, s.KeyLifetimeSecs = start, days(20) })
	for name, row := range map[string]struct {
		direct, more []byte
		expires      time.Time
		on5, on15    error
	}{
		"one":                    {expires: day(20)},
		"direct signature":       {direct: signature(packet.SigTypeDirectSignature, func(s *packet.Signature) { s.KeyLifetimeSecs = days(10) }), expires: day(10), on15: gpg.ErrExpired},
		"newer":                  {more: signature(packet.SigTypePositiveCert, func(s *packet.Signature) { s.KeyLifetimeSecs = days(10) }), expires: day(10), on15: gpg.ErrExpired},
		"newer without an end":   {more: signature(packet.SigTypePositiveCert, func(*packet.Signature) {})},
		"newer one that expires": {more: signature(packet.SigTypePositiveCert, func(s *packet.Signature) { s.SigLifetimeSecs, s.KeyLifetimeSecs = days(9), days(3) }), expires: day(3), on5: gpg.ErrExpired},
		"another use":            {direct: signature(packet.SigTypeDirectSignature, func(s *packet.Signature) { s.FlagsValid, s.FlagCertify = true, true }), expires: day(20)},
	} {
		k := one(t, read(t, bytes.Join([][]byte{plain.Bytes(), row.direct, id.Bytes(), first, row.more}, nil)))
		if !k.Expires().Equal(row.expires) || !errors.Is(k.ValidAt(day(5)), row.on5) || !errors.Is(k.ValidAt(day(15)), row.on15) {
			t.Errorf("%s: expires %v, on day 5 %v, on day 15 %v", name, k.Expires(), k.ValidAt(day(5)), k.ValidAt(day(15)))
		}
	}
}
