// Makes `v2.bolt`, the names of buckets as InfluxDB 2.x keeps them in influxd.bolt (tenant/storage_bucket.go of 2.7): a
// record in JSON by the bucket's id of 8 bytes. Needs go.etcd.io/bbolt 1.3; run as: go run make_bolt.go v2.bolt
package main

import (
	"encoding/hex"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	db, err := bbolt.Open(os.Args[1], 0600, nil)
	must(err)
	// Enough buckets for several pages, in several transactions; the names that the tests look for are among them.
	for step := 0; step < 3; step++ {
		must(db.Update(func(tx *bbolt.Tx) error {
			for _, name := range []string{"authorizationsv1", "bucketsv1", "zzz"} {
				bucket, err := tx.CreateBucketIfNotExists([]byte(name))
				must(err)
				for i := step * 20; name == "bucketsv1" && i < step*20+20; i++ {
					id := fmt.Sprintf("%016x", 0x0a00000000000001+i)
					label := map[int]string{0: "sensors", 1: "_monitoring", 2: "_tasks", 3: "plant/ages"}[i]
					if label == "" {
						label = fmt.Sprintf("bucket %d", i)
					}
					key, err := hex.DecodeString(id)
					must(err)
					record := fmt.Sprintf(`{"id":"%s","orgID":"0b00000000000001","type":0,"name":"%s","description":"","retentionPeriod":0,"shardGroupDuration":604800000000000,"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-01T00:00:00Z"}`, id, label)
					must(bucket.Put(key, []byte(record)))
				}
			}
			return nil
		}))
	}
	must(db.Close())
}
