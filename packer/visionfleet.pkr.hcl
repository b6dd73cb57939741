# One image for web, scaler and workers: what an instance is, its user data says. See docs/ami.md.

variable "region" {
  type        = string
  default     = "us-east-1"
  description = "Region in which the image is built."
}

variable "copy_to_regions" {
  type        = list(string)
  default     = []
  description = "Regions that the image is copied to."
}

variable "instance_type" {
  type        = string
  default     = "c7i.large"
  description = "Type of the build instance; its architecture is the image's."
}

variable "architecture" {
  type        = string
  default     = "amd64"
  description = "Architecture, in Debian's terms: amd64 or arm64."

  validation {
    condition     = contains(["amd64", "arm64"], var.architecture)
    error_message = "The architecture is amd64 or arm64."
  }
}

variable "name_prefix" {
  type        = string
  default     = "visionfleet"
  description = "Prefix of the image's name; architecture and time follow."
}

variable "volume_gib" {
  type        = number
  default     = 8
  description = "Size of the root volume; 20 for torch with CUDA."
}

variable "debian" {
  type        = string
  default     = "12"
  description = "Version of Debian: 12 or 13."

  validation {
    condition     = contains(["12", "13"], var.debian)
    error_message = "The version of Debian is 12 or 13."
  }
}

variable "debian_snapshot" {
  type        = string
  default     = ""
  description = "Debian's packages as of that time, such as 20261128T000000Z; empty: the newest."
}

variable "source_owner" {
  type        = string
  default     = "136693071363"
  description = "Owner account of the source image; the default is Debian's."
}

variable "source_name" {
  type        = string
  default     = ""
  description = "Name pattern of the source image, of which the newest is used; empty: that Debian and architecture."
}

variable "subnet_id" {
  type        = string
  default     = ""
  description = "Subnet of the build instance; empty: one of the default VPC."
}

variable "source_archive" {
  type        = string
  default     = "build/visionfleet.tar.gz"
  description = "Source archive, as `make ami` creates it with git archive."
}

variable "torch_index_url" {
  type        = string
  default     = "https://download.pytorch.org/whl/cpu"
  description = "Package index of torch's CPU builds; empty: PyPI's GPU builds, checked by hash."
}

variable "install_environment" {
  type        = map(string)
  default     = {}
  description = "Environment of apt-get and `make install`, such as HTTPS_PROXY or PIP_INDEX_URL."
}

variable "apt_packages" {
  type        = list(string)
  default     = []
  description = "Additional Debian packages, such as a GPU driver."
}

# The rest is for a stand-in of AWS; the defaults are AWS itself.

variable "ec2_endpoint_url" {
  type        = string
  default     = ""
  description = "Another EC2 endpoint; its region, account and metadata are not checked."
}

variable "ssh_host" {
  type        = string
  default     = ""
  description = "Address of the build instance; empty: as EC2 reports it."
}

variable "ssh_port" {
  type    = number
  default = 22
}

variable "ssh_private_key_file" {
  type        = string
  default     = ""
  description = "SSH key; empty: a temporary one, which EC2 installs."
}

locals {
  stamp       = formatdate("YYYYMMDD-hhmmss", timestamp())
  stand_in    = var.ec2_endpoint_url != ""
  source_name = var.source_name != "" ? var.source_name : "debian-${var.debian}-${var.architecture}-*"
  environment = merge(var.install_environment, {
    APT_PACKAGES    = join(" ", var.apt_packages)
    TORCH_INDEX_URL = var.torch_index_url
    DEBIAN_SNAPSHOT = var.debian_snapshot
    DEBIAN_FRONTEND = "noninteractive"
    IMAGE_UPLOADS   = "/tmp/visionfleet-image"
  })
}

source "amazon-ebs" "debian" {
  ami_name        = "${var.name_prefix}-${var.architecture}-${local.stamp}"
  ami_description = "visionfleet on Debian ${var.debian}: web, scaler or worker, by user data"
  ami_regions     = var.copy_to_regions
  instance_type   = var.instance_type
  region          = var.region
  subnet_id       = var.subnet_id
  ena_support     = true

  source_ami_filter {
    filters = {
      name                = local.source_name
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    owners      = [var.source_owner]
    most_recent = true
  }

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_size           = var.volume_gib
    volume_type           = "gp3"
    iops                  = 3000
    throughput            = 125
    delete_on_termination = true
  }

  custom_endpoint_ec2     = var.ec2_endpoint_url
  skip_region_validation  = local.stand_in
  skip_metadata_api_check = local.stand_in

  ssh_username         = "admin"
  ssh_host             = var.ssh_host
  ssh_port             = var.ssh_port
  ssh_private_key_file = var.ssh_private_key_file
  ssh_timeout          = "5m"

  tags = {
    Name                  = var.name_prefix
    "visionfleet:made-at" = local.stamp
    "visionfleet:source"  = "{{ .SourceAMIName }}"
  }
}

build {
  sources = ["source.amazon-ebs.debian"]

  provisioner "shell" {
    inline = ["mkdir ${local.environment.IMAGE_UPLOADS}"]
  }

  provisioner "file" {
    source      = var.source_archive
    destination = "${local.environment.IMAGE_UPLOADS}/visionfleet.tar.gz"
  }

  provisioner "file" {
    source      = "${path.root}/files"
    destination = local.environment.IMAGE_UPLOADS
  }

  provisioner "shell" {
    scripts          = ["${path.root}/install.sh", "${path.root}/trim.sh"]
    environment_vars = [for name, value in local.environment : "${name}=${value}"]
    execute_command  = "chmod +x '{{ .Path }}'; sudo env {{ .Vars }} sh '{{ .Path }}'"
  }

  provisioner "file" {
    direction   = "download"
    source      = "/usr/share/visionfleet/sbom.json"
    destination = "build/sbom.json"
  }

  # One connection: clean.sh takes the key away that a second one would need.
  provisioner "shell" {
    scripts = [
      "${path.root}/clean.sh",
      "${path.root}/verify.sh",
    ]
    environment_vars = [for name, value in local.environment : "${name}=${value}"]
    execute_command  = "chmod +x '{{ .Path }}'; sudo env {{ .Vars }} sh '{{ .Path }}'"
  }

  post-processors {
    post-processor "manifest" {
      output     = "build/ami.json"
      strip_path = true
    }

    # Packer 1.6 has no word for it in the source.
    post-processor "shell-local" {
      environment_vars = ["EC2_ENDPOINT_URL=${var.ec2_endpoint_url}"]
      inline           = ["sh ${path.root}/imdsv2.sh"]
    }
  }
}
