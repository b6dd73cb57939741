# For `packer init` of Packer 1.7 and newer. Packer 1.6 has its builders built in and knows no such
# block, so it is given visionfleet.pkr.hcl alone.
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.2.0"
    }
  }
}
