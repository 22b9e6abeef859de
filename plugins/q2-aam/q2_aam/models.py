"""Models of AAM as QIIME 2 knows them: types, and the format of the folder."""

import json

from qiime2.plugin import SemanticType, ValidationError, model

AAMModel = SemanticType("AAMModel", field_names="kind")
AAMEncoder = SemanticType("AAMEncoder", variant_of=AAMModel.field["kind"])
AAMRegressor = SemanticType("AAMRegressor", variant_of=AAMModel.field["kind"])
AAMClassifier = SemanticType("AAMClassifier", variant_of=AAMModel.field["kind"])


class ModelConfigFormat(model.TextFileFormat):
    """config.json of a model folder."""

    def _validate_(self, level):
        with self.open() as file:
            try:
                content = json.load(file)
            except ValueError as error:
                raise ValidationError(f"config.json of an AAM model is no JSON: {error}") from error
        if not isinstance(content, dict) or "format_version" not in content:
            raise ValidationError("config.json is not that of an AAM model: it names no format_version")


class ModelPartFormat(model.BinaryFileFormat):
    """Any other file of a model folder; AAM checks them when it loads the model."""

    def _validate_(self, level):
        """Nothing is asked of them here."""


class AAMModelDirFmt(model.DirectoryFormat):
    """The model folder that AAM writes."""

    config = model.File("config.json", format=ModelConfigFormat)
    weights = model.File("model.safetensors", format=ModelPartFormat)
    card = model.File("README.md", format=ModelPartFormat)
    samples = model.File("samples.txt", format=ModelPartFormat, optional=True)
    asvs = model.File("asvs.txt", format=ModelPartFormat, optional=True)
    novelty = model.File("novelty.safetensors", format=ModelPartFormat, optional=True)
