#!/bin/sh
# Has instances of the image that was made give metadata by IMDSv2 alone, unless told otherwise.
# Runs where Packer does, and needs the AWS CLI.
set -eu
sed -n 's/.*"artifact_id": "\(.*\)".*/\1/p' build/ami.json | tail -n 1 | tr , '\n' |
	while IFS=: read -r region image; do
		aws ${EC2_ENDPOINT_URL:+--endpoint-url "$EC2_ENDPOINT_URL"} --region "$region" \
			ec2 modify-image-attribute --image-id "$image" --imds-support '{"Value": "v2.0"}'
		echo "$image in $region: IMDSv2 only"
	done
