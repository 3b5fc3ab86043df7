package gpg_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/taskcluster/generic-worker/gpg"
	"github.com/taskcluster/generic-worker/gpg/wire"
)

// split is the public part of a key in packets: the key, its user id, the
// signatures of that, a subkey and its binding.
func split(t testing.TB, k *gpg.Key) []wire.Packet {
	t.Helper()
	text, err := k.ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	var packets []wire.Packet
	for rest := dearmored(t, string(text)); len(rest) > 0; {
		p, behind, ok := wire.Next(rest)
		if !ok {
			t.Fatal("the key breaks off")
		}
		packets, rest = append(packets, p), behind
	}
	return packets
}

func joined(packets ...wire.Packet) []byte {
	var b bytes.Buffer
	for _, p := range packets {
		p.Write(&b)
	}
	return b.Bytes()
}

// bent is a packet with one bit changed.
func bent(p wire.Packet, at int, bit byte) wire.Packet {
	p.Body = slices.Clone(p.Body)
	if at < 0 {
		at += len(p.Body)
	}
	p.Body[at] ^= bit
	return p
}

// ofType is a signature that says it is of another type.
func ofType(p wire.Packet, kind packet.SignatureType) wire.Packet {
	return bent(p, 1, p.Body[1]^byte(kind))
}

// TestForgedKeys has keys with signatures that somebody else could put there.
func TestForgedKeys(t *testing.T) {
	t.Parallel()
	trusted, stranger := newKey(t, nil), newKey(t, nil)
	host, err := trusted.Certify(newKey(t, nil), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	p, other := split(t, host), split(t, stranger)
	if len(p) != 6 || len(other) != 5 {
		t.Fatalf("%d and %d packets", len(p), len(other))
	}
	key, id, self, certification, subkey, binding := p[0], p[1], p[2], p[3], p[4], p[5]
	evil := wire.Packet{Tag: wire.TagUserID, Body: []byte("evil")}
	for name, row := range map[string]struct {
		packets   []wire.Packet
		unread    bool // no key comes of it
		certified bool
		encrypts  bool
		ids       int
	}{
		"as it is":                             {packets: p, certified: true, encrypts: true, ids: 1},
		"bent certification":                   {packets: []wire.Packet{key, id, self, bent(certification, -1, 1), subkey, binding}, encrypts: true, ids: 1},
		"certification of another key":         {packets: []wire.Packet{other[0], other[1], other[2], certification}, ids: 1},
		"certification of another user id":     {packets: []wire.Packet{key, evil, self, certification}, unread: true},
		"certification on a user id of theirs": {packets: []wire.Packet{key, id, self, evil, self, certification}, ids: 1},
		"bent self signature":                  {packets: []wire.Packet{key, id, bent(self, -1, 1)}, unread: true},
		"bent date of the self signature":      {packets: []wire.Packet{key, id, bent(self, 10, 1)}, unread: true},
		"self signature of somebody else":      {packets: []wire.Packet{key, id, other[2]}, unread: true},
		"another user id":                      {packets: []wire.Packet{key, id, self, evil, self}, ids: 1},
		"forged revocation of the key":         {packets: []wire.Packet{key, ofType(self, packet.SigTypeKeyRevocation), id, self, certification}, certified: true, ids: 1},
		"forged revocation of the user id":     {packets: []wire.Packet{key, id, self, ofType(self, packet.SigTypeCertificationRevocation), certification}, certified: true, ids: 1},
		"forged revocation of the certification": {
			packets:   []wire.Packet{key, id, self, certification, ofType(certification, packet.SigTypeCertificationRevocation)},
			certified: true, ids: 1,
		},
		"forged revocation of the subkey": {packets: []wire.Packet{key, id, self, subkey, binding, ofType(binding, packet.SigTypeSubkeyRevocation)}, encrypts: true, ids: 1},
		"subkey of somebody else":         {packets: []wire.Packet{key, id, self, other[3], other[4]}, ids: 1},
		"subkey with our binding":         {packets: []wire.Packet{key, id, self, other[3], binding}, ids: 1},
		"bent binding":                    {packets: []wire.Packet{key, id, self, subkey, bent(binding, -1, 1)}, ids: 1},
		"direct signature of any kind":    {packets: []wire.Packet{key, ofType(self, packet.SigTypeDirectSignature), id, self}, ids: 1},
	} {
		r, err := gpg.Read(joined(row.packets...))
		if row.unread {
			if !errors.Is(err, gpg.ErrUnsupported) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		k := one(t, r)
		if ids := k.Identities(); len(ids) != row.ids || ids[0] == "evil" || k.ValidAt(time.Now()) != nil {
			t.Errorf("%s: %q, %v", name, ids, k.ValidAt(time.Now()))
		}
		if _, err := gpg.NewKeyring(trusted).Certifies(k, time.Now()); (err == nil) != row.certified {
			t.Errorf("%s: certified: %v", name, err)
		}
		if _, err := k.Encrypt([]byte("x")); (err == nil) != row.encrypts {
			t.Errorf("%s: encrypts: %v", name, err)
		}
	}
}

// TestStolenSigningSubkey has a key that claims the signing subkey of another
// one: its owner would have to agree.
func TestStolenSigningSubkey(t *testing.T) {
	t.Parallel()
	made := func() *openpgp.Entity {
		e, err := openpgp.NewEntity("x", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.AddSigningSubkey(&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA}); err != nil {
			t.Fatal(err)
		}
		return e
	}
	written := func(e *openpgp.Entity) *gpg.Key {
		var b bytes.Buffer
		if err := e.SerializePrivateWithoutSigning(&b, nil); err != nil {
			t.Fatal(err)
		}
		return one(t, read(t, b.Bytes()))
	}
	victim, thief := made(), made()
	file, err := written(victim).ClearSign([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := gpg.NewKeyring(written(victim)).OpenClearSigned(file, time.Now()); err != nil {
		t.Fatal(err)
	}
	stolen := victim.Subkeys[1]
	for name, embedded := range map[string]*packet.Signature{"without consent": nil, "with the consent to another key": stolen.Sig.EmbeddedSignature} {
		id := thief.PrimaryKey.KeyId
		stolen.Sig = &packet.Signature{
			Version: 4, SigType: packet.SigTypeSubkeyBinding, PubKeyAlgo: thief.PrimaryKey.PubKeyAlgo, Hash: stolen.Sig.Hash,
			CreationTime: time.Now(), IssuerKeyId: &id, FlagsValid: true, FlagSign: true, EmbeddedSignature: embedded,
		}
		if err := stolen.Sig.SignKey(stolen.PublicKey, thief.PrivateKey, nil); err != nil {
			t.Fatal(err)
		}
		thief.Subkeys = []openpgp.Subkey{stolen}
		if _, signer, err := gpg.NewKeyring(written(thief)).OpenClearSigned(file, time.Now()); !errors.Is(err, gpg.ErrUnknownSigner) {
			t.Errorf("%s: %v, %v", name, signer, err)
		}
	}
}

func TestVersion6(t *testing.T) {
	t.Parallel()
	e, err := openpgp.NewEntity("x", "", "", &packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoEd25519})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := gpg.Read(b.Bytes()); !errors.Is(err, gpg.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}
