package certificate_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/certificate"
)

// A renewed certificate is in use from the next look on.
func Example() {
	dir, err := os.MkdirTemp("", "certificate")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	renew := func(serial int64) {
		cert, key := made(serial, time.Now().Add(time.Hour))
		_ = os.WriteFile(certFile, cert, 0o600)
		_ = os.WriteFile(keyFile, key, 0o600)
	}

	renew(0x2A)
	pair, err := certificate.Open(certFile, keyFile)
	if err != nil {
		fmt.Println(err)
		return
	}
	config := &tls.Config{GetCertificate: pair.GetCertificate, MinVersion: tls.VersionTLS12}
	inUse, _ := config.GetCertificate(nil)
	fmt.Printf("serving %X\n", inUse.Leaf.SerialNumber)

	renew(0x2B)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	pair.Watch(ctx, time.Millisecond, func(e certificate.Event) {
		fmt.Println("changed to", e.Serial, e.Err)
		cancel() // a service goes on watching
	})
	inUse, _ = config.GetCertificate(nil)
	fmt.Printf("serving %X\n", inUse.Leaf.SerialNumber)
	// Output:
	// serving 2A
	// changed to 2B <nil>
	// serving 2B
}

// made is a key pair for 127.0.0.1 that vouches for itself, in PEM. Equal arguments give files of
// equal sizes.
func made(serial int64, notAfter time.Time) (cert, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	// Signatures differ in length by some bytes.
	return append(cert, strings.Repeat("\n", 1024-len(cert))...), append(key, strings.Repeat("\n", 512-len(key))...)
}

// files are where a pair is kept.
type files struct{ cert, key string }

func newFiles(t *testing.T) files {
	dir := t.TempDir()
	return files{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
}

func (f files) open(t *testing.T) *certificate.Pair {
	t.Helper()
	pair, err := certificate.Open(f.cert, f.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// renew writes both files in place.
func (f files) renew(t *testing.T, serial int64, notAfter time.Time) (cert, key []byte) {
	t.Helper()
	cert, key = made(serial, notAfter)
	write(t, f.cert, cert)
	write(t, f.key, key)
	return cert, key
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// must ends the test for what has nothing to do with it.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serial is that of the certificate in use, whose key must be its own.
func serial(t *testing.T, pair *certificate.Pair) int64 {
	t.Helper()
	c, err := pair.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if !leaf.PublicKey.(*ecdsa.PublicKey).Equal(c.PrivateKey.(crypto.Signer).Public()) {
		t.Errorf("certificate %s is served with the key of another", leaf.SerialNumber)
	}
	return leaf.SerialNumber.Int64()
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	good, other := newFiles(t), newFiles(t)
	good.renew(t, 1, time.Now().Add(time.Hour))
	other.renew(t, 2, time.Now().Add(time.Hour))
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, nil)
	for name, c := range map[string]struct {
		cert, key string
		err       string
		is        error
	}{
		"no certificate":            {"/no/cert", "/no/key", "certificate /no/cert with key /no/key: open /no/cert: no such file or directory", fs.ErrNotExist},
		"no key":                    {good.cert, "/no/key", "certificate " + good.cert + " with key /no/key: open /no/key: no such file or directory", fs.ErrNotExist},
		"another certificate's key": {good.cert, other.key, "certificate " + good.cert + " with key " + other.key + ": tls: private key does not match public key", nil},
		"an empty certificate":      {empty, good.key, "certificate " + empty + " with key " + good.key + ": tls: failed to find any PEM data in certificate input", nil},
	} {
		t.Run(name, func(t *testing.T) {
			pair, err := certificate.Open(c.cert, c.key)
			if err == nil || pair != nil || err.Error() != c.err {
				t.Errorf("error %v, want %s", err, c.err)
			}
			if c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v is not %v", err, c.is)
			}
		})
	}
}

func TestOpenTakesACertificateThatIsNoLongerValid(t *testing.T) {
	f := newFiles(t)
	ended := time.Now().Add(-time.Hour).Truncate(time.Second)
	f.renew(t, 7, ended)
	pair := f.open(t)
	if n := serial(t, pair); n != 7 || !pair.NotAfter().Equal(ended) {
		t.Errorf("certificate %d, valid until %v", n, pair.NotAfter())
	}
}

func TestThePairIsReadWithoutAParsedLeafToo(t *testing.T) {
	t.Setenv("GODEBUG", "x509keypairleaf=0")
	f := newFiles(t)
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	f.renew(t, 7, end)
	if pair := f.open(t); !pair.NotAfter().Equal(end) {
		t.Errorf("valid until %v, want %v", pair.NotAfter(), end)
	}
}
