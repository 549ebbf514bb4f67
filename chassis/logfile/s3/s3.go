// Package s3 is a logfile.Bucket in the S3 protocol, which Amazon and most stores speak. It is a
// module of its own, so that only services that name it link a client of S3:
//
//	bucket, err := s3.Open(cfg.LogBucket)
//	if err != nil {
//		return err
//	}
//	s.ShipLogs(bucket)
//
// Objects are put in one request with their SHA-256, which the store checks, so they are whole or
// not there. What [Bucket.Stat] tells is the checksum that the store itself keeps; of a store that
// keeps none the object is read back.
package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

// Config names a bucket. It is made to be a part of a service's configuration.
type Config struct {
	Endpoint string        `config:"endpoint" doc:"where the store is: https://host[:port]"`
	Bucket   string        `config:"bucket" doc:"name of the bucket, which must exist"`
	Region   string        `config:"region" doc:"region of the bucket"`
	Key      string        `config:"key" doc:"access key; without one those of the environment (AWS_ACCESS_KEY_ID, …), or of the machine's role"`
	Secret   config.Secret `config:"secret" doc:"secret of the access key"`
}

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	if c.Region == "" {
		c.Region = "us-east-1"
	}
}

// Validate refuses half a configuration. Without an endpoint and a bucket there is none.
func (c *Config) Validate() error {
	if !c.Enabled() {
		return nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" {
		return config.Invalid("endpoint", "want https://host[:port] without a path, got %q", c.Endpoint)
	}
	switch {
	case c.Bucket == "":
		return config.Invalid("bucket", "want the name of a bucket, since there is an endpoint")
	case (c.Key == "") != (c.Secret.Reveal() == ""):
		return config.Invalid("secret", "want both a key and its secret, or neither")
	}
	return nil
}

// Enabled reports whether a bucket is named.
func (c *Config) Enabled() bool { return c.Endpoint != "" || c.Bucket != "" }

// A Bucket is a logfile.Bucket. Make one with [Open]. It is safe for concurrent use.
type Bucket struct {
	client *minio.Client
	name   string
}

// Open returns the bucket that c names. The store is not asked: it may be down.
func Open(c Config) (*Bucket, error) { return open(c, nil) }

func open(c Config, transport http.RoundTripper) (*Bucket, error) {
	c.SetDefaults()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("S3 bucket: %w", err)
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("S3 bucket: endpoint %q: want https://host[:port]", c.Endpoint)
	}
	keys := credentials.NewStaticV4(c.Key, c.Secret.Reveal(), "")
	if c.Key == "" {
		keys = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.IAM{}})
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: keys, Secure: u.Scheme == "https", Region: c.Region, Transport: transport,
		MaxRetries: 1, // the collector tries again, and counts
	})
	if err != nil {
		return nil, fmt.Errorf("S3 bucket: %w", err)
	}
	return &Bucket{client, c.Bucket}, nil
}

// Put implements [logfile.Bucket].
func (b *Bucket) Put(ctx context.Context, key string, body io.Reader, o logfile.Object) error {
	sum, err := hex.DecodeString(o.SHA256)
	if err != nil || len(sum) != sha256.Size {
		return fmt.Errorf("put %s: SHA-256 %q: want 64 hex digits", key, o.SHA256)
	}
	_, err = b.client.PutObject(ctx, b.name, key, &exact{r: body, left: o.Size}, o.Size, minio.PutObjectOptions{
		ContentType: "application/gzip", DisableMultipart: true, DisableContentSha256: true,
		UserMetadata: map[string]string{"X-Amz-Checksum-Sha256": base64.StdEncoding.EncodeToString(sum)},
	})
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// exact is a body of just so many bytes: of another one, the last byte is never sent.
type exact struct {
	r    io.Reader
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 || len(p) == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if e.left > 0 {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%d bytes are missing: %w", e.left, io.ErrUnexpectedEOF)
		}
		return n, err
	}
	if err == nil || errors.Is(err, io.EOF) {
		var more [1]byte
		extra := 0
		if err == nil {
			extra, err = io.ReadFull(e.r, more[:])
		}
		if extra == 0 && errors.Is(err, io.EOF) {
			return n, nil
		}
		if err == nil {
			err = errors.New("it has more bytes than were announced")
		}
	}
	return n - 1, err
}

// Stat implements [logfile.Bucket].
func (b *Bucket) Stat(ctx context.Context, key string) (logfile.Object, error) {
	o, err := b.client.StatObject(ctx, b.name, key, minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return logfile.Object{}, b.missing(key, err)
	}
	if sum, err := base64.StdEncoding.DecodeString(o.ChecksumSHA256); err == nil && len(sum) == sha256.Size {
		return logfile.Object{Size: o.Size, SHA256: hex.EncodeToString(sum)}, nil
	}
	return b.read(ctx, key)
}

// read finds out what a store has that keeps no checksums.
func (b *Bucket) read(ctx context.Context, key string) (logfile.Object, error) {
	body, err := b.client.GetObject(ctx, b.name, key, minio.GetObjectOptions{})
	if err != nil {
		return logfile.Object{}, b.missing(key, err)
	}
	defer body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, body)
	if err != nil {
		return logfile.Object{}, b.missing(key, err)
	}
	return logfile.Object{Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

func (b *Bucket) missing(key string, err error) error {
	if code := minio.ToErrorResponse(err).Code; code == minio.NoSuchKey {
		return fmt.Errorf("stat %s: %w", key, fs.ErrNotExist)
	}
	return fmt.Errorf("stat %s: %w", key, err)
}
